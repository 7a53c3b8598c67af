use super::*;

#[test]
fn the_kernels_counters_are_read_by_their_names() {
    let counters =
        "XfrmInError             \t7\nXfrmInNoStates  \t3\nXfrmInTmplMismatch\t2\nXfrmInNoPols 1\nbroken\n";
    assert_eq!(read_counters(counters, Refusal::UnknownSpi), Some(3));
    assert_eq!(read_counters(counters, Refusal::Selector), Some(3));
    assert_eq!(read_counters(counters, Refusal::Replay), None, "this kernel does not count it");
    assert_eq!(read_counters(counters, Refusal::Source), None);
}

#[test]
fn states_that_are_cut_or_of_others_are_passed_over() {
    let mut state = vec![0; STATE];
    assert_eq!(read_state(&state), None, "no ESP");
    state[72..76].copy_from_slice(&1000_u32.to_be_bytes());
    state[76] = esp::PROTOCOL;
    state[212..214].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    assert_eq!(read_state(&state), None, "a request id that is not ours");
    state[208..212].copy_from_slice(&1000_u32.to_ne_bytes());
    assert_eq!(read_state(&state).map(|usage| usage.spi), Spi::new(1000));
    for length in 0..STATE {
        assert_eq!(read_state(&state[..length]), None);
        assert_eq!(read_template(&state[..length]), None);
    }
}

#[test]
fn the_ends_of_a_state_are_those_of_its_selector() {
    let mut state = vec![0; STATE];
    assert_eq!(read_ends(&state), None, "of no family");
    state[..4].copy_from_slice(&[192, 0, 2, 1]);
    state[16..20].copy_from_slice(&[192, 0, 2, 9]);
    state[32..34].copy_from_slice(&6100_u16.to_be_bytes());
    state[36..38].copy_from_slice(&31_000_u16.to_be_bytes());
    state[40..42].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    let ends = [([192, 0, 2, 1], 6100).into(), ([192, 0, 2, 9], 31_000).into()];
    assert_eq!(read_ends(&state), Some(ends));
    for length in 0..42 {
        assert_eq!(read_ends(&state[..length]), None);
    }
}
