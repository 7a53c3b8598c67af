//! What the system says of itself: `/proc`, `/sys` and a few calls.

use super::facts::{Clock, Pool, Route};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether the kernel has ESP, built in or as a module.
pub fn has_esp() -> Option<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let folder = Path::new("/lib/modules").join(release.trim());
    let loaded = fs::read_to_string("/proc/modules").unwrap_or_default();
    if loaded.lines().any(|line| line.starts_with("esp4 ")) {
        return Some(true);
    }
    let known: Vec<_> = ["modules.builtin", "modules.dep"]
        .iter()
        .filter_map(|file| fs::read_to_string(folder.join(file)).ok())
        .collect();
    (!known.is_empty()).then(|| known.iter().any(|list| list.contains("/esp4.ko")))
}

/// The effective capabilities of this process.
pub fn capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

/// The hard limit of open files, up to which a process raises its own.
pub fn open_files_max() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Memory that can be had without swapping.
pub fn memory_octets() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The MTU of the interface that has an address.
pub fn mtu_of(ip: IpAddr) -> Option<u32> {
    let interface = nix::ifaddrs::getifaddrs().ok()?.find_map(|interface| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        let six = || address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
        // All of 127/8 is the loopback's.
        let is_alike =
            |own: IpAddr| own == ip || own.is_loopback() && ip.is_loopback() && own.is_ipv4() == ip.is_ipv4();
        four.or_else(six).is_some_and(is_alike).then_some(interface.interface_name)
    })?;
    fs::read_to_string(Path::new("/sys/class/net").join(interface).join("mtu")).ok()?.trim().parse().ok()
}

/// The clock, and whether a daemon keeps it right: systemd-timesyncd and chrony leave a file.
pub fn clock() -> Clock {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let is_synchronised = match Path::new("/run/systemd/timesync").exists() {
        true => Some(Path::new("/run/systemd/timesync/synchronized").exists()),
        false => Path::new("/run/chrony/chronyd.pid").exists().then_some(true),
    };
    Clock { now_s, is_synchronised }
}

/// How packets to a network of UEs leave: a connected datagram socket tells, and sends nothing.
pub fn route(pool: Pool) -> Route {
    let any: IpAddr = match pool.address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let own = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        socket.connect(SocketAddr::new(pool.ue(), 5060))?;
        Ok(socket.local_addr()?.ip())
    });
    let is_default = match pool.ue() {
        IpAddr::V4(ue) => {
            fs::read_to_string("/proc/net/route").ok().map(|table| is_default_route(&table, ue))
        }
        IpAddr::V6(_) => None,
    };
    Route { pool, own: own.map_err(|error| error.to_string()), is_default }
}

/// Whether no route of `/proc/net/route` but the default one covers an address.
fn is_default_route(table: &str, address: Ipv4Addr) -> bool {
    let network = |text: &str| u32::from_str_radix(text, 16).map(u32::from_be).ok();
    let mut narrower = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        Some((network(fields.get(1)?)?, network(fields.get(7)?)?))
    });
    !narrower.any(|(destination, mask)| mask != 0 && address.to_bits() & mask == destination)
}

/// Octets that are free where a path lies.
pub fn free_octets(path: &Path) -> Option<u64> {
    let found = nix::sys::statvfs::statvfs(path).ok()?;
    Some(found.blocks_available() * found.fragment_size())
}

/// Whether anybody but the owner may write to a directory that is there.
pub fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.mode() & 0o022 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_its_own_goes_before_the_default_one() {
        let table = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                     eth0 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0\n\
                     ogstun 00002D0A 00000000 0001 0 0 0 0000FFFF 0 0 0\n";
        assert!(!is_default_route(table, Ipv4Addr::new(10, 45, 0, 2)));
        assert!(is_default_route(table, Ipv4Addr::new(10, 46, 0, 2)));
    }

    #[test]
    fn the_loopback_has_an_mtu_for_all_of_its_addresses() {
        assert!(mtu_of(Ipv4Addr::new(127, 0, 0, 10).into()).is_some_and(|octets| octets >= 1500));
        assert_eq!(mtu_of(Ipv4Addr::new(192, 0, 2, 200).into()), None);
    }
}
