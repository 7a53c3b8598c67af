//! The flows of TS 24.228 on good links.

use sim::{Ims, checker};

#[test]
fn a_phone_registers_by_aka() {
    let mut ims = Ims::seeded(1);
    let alice = ims.phone();
    ims.register_well(&alice);
    println!("{}", ims.ladder());
    assert!(ims.registered_at(&alice).is_some());
    assert_eq!(checker::settle(&mut ims, &[&alice]), Vec::<String>::new());
}
