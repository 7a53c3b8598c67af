//! The best final response of a response context (RFC 3261 §16.7 step 6).

/// Whether the final response `candidate` is better to send upstream than `best`.
///
/// Both are at least 300. A 6xx beats everything; else the lowest class wins; within 4xx those that help the client to
/// try again win (401, 407, 415, 420, 484), and a 408 or 503 that we made up ourselves loses to what a peer said.
pub fn is_better(candidate: u16, best: u16) -> bool {
    rank(candidate) < rank(best)
}

fn rank(code: u16) -> (u16, u16) {
    match code {
        600.. => (0, 0),
        401 | 407 => (4, 0),
        415 | 420 | 484 => (4, 1),
        408 => (4, 9),
        400..=499 => (4, 5),
        503 => (5, 9),
        _ => (code / 100, 5),
    }
}

/// The code sent upstream for the chosen one: a 503 of one hop says nothing of this proxy (RFC 3261 §16.7 step 6).
pub fn upstream_code(chosen: u16) -> u16 {
    if chosen == 503 { 500 } else { chosen }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best_of(codes: &[u16]) -> u16 {
        codes.iter().copied().reduce(|best, code| if is_better(code, best) { code } else { best }).unwrap()
    }

    #[test]
    fn a_global_failure_beats_all_and_else_the_lowest_class_wins() {
        assert_eq!(best_of(&[404, 603, 302]), 603);
        assert_eq!(best_of(&[500, 404, 302]), 302);
        assert_eq!(best_of(&[500, 404]), 404);
    }

    #[test]
    fn within_4xx_what_lets_the_client_try_again_wins() {
        assert_eq!(best_of(&[404, 407, 486]), 407);
        assert_eq!(best_of(&[408, 486]), 486);
        assert_eq!(best_of(&[486, 408]), 486);
        assert_eq!(best_of(&[480, 484]), 484);
    }

    #[test]
    fn the_first_of_equals_is_kept() {
        assert_eq!(best_of(&[486, 480]), 486);
    }

    #[test]
    fn a_503_alone_becomes_a_500() {
        assert_eq!(upstream_code(best_of(&[503])), 500);
        assert_eq!(best_of(&[503, 500]), 500);
    }
}
