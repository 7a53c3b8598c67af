//! What Wireshark makes of the packets on the loopback interface.

use carillon_tests::process::Process;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A capture under way.
pub struct Capture(Process);

impl Capture {
    pub fn start(file: &Path, folder: &Path) -> Capture {
        let mut tshark = Command::new(carillon_tests::find("tshark").expect("looked for outside"));
        tshark.args(["-i", "lo", "-f", "ip proto 50 or ip6 proto 50 or port 5060", "-w"]).arg(file);
        let mut tshark = Process::start("tshark", &mut tshark, folder);
        tshark.wait_for_output("Capture started", Duration::from_secs(30));
        Capture(tshark)
    }

    pub fn stop(&mut self) {
        // What was sent last is still on its way to the file.
        std::thread::sleep(Duration::from_millis(500));
        self.0.signal("INT");
        self.0.wait(Duration::from_secs(30));
    }
}

/// One packet.
pub struct Row {
    pub is_esp: bool,
    pub has_good_icv: bool,
    /// The methods of the SIP requests in it.
    pub methods: String,
}

/// The packets of a file, opened by a table of associations.
pub fn read(file: &Path, table: &str) -> Vec<Row> {
    let mut tshark = Command::new(carillon_tests::find("tshark").expect("looked for outside"));
    tshark.arg("-r").arg(file);
    for option in ["esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE"] {
        tshark.args(["-o", option]);
    }
    for row in table.lines() {
        tshark.args(["-o", &format!("uat:esp_sa:{row}")]);
    }
    // The ports are protected ones, which Wireshark takes for nothing in particular.
    for port in ["6100", "6300"] {
        tshark.args(["-d", &format!("udp.port=={port},sip"), "-d", &format!("tcp.port=={port},sip")]);
    }
    tshark.args(["-T", "fields", "-e", "esp.spi", "-e", "esp.icv_good", "-e", "sip.Method"]);
    let ran = tshark.output().expect("tshark runs");
    let text = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let row = |line: &str| {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default().to_owned();
        let (spi, icv, methods) = (field(), field(), field());
        Row { is_esp: !spi.is_empty(), has_good_icv: icv == "1" || icv == "True", methods }
    };
    text.lines().map(row).collect()
}
