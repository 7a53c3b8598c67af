//! Expressions against texts.

use super::*;

fn compile(text: &str) -> Expression {
    Compiler::default().compile(text, Case::Sensitive).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

#[test]
fn an_expression_matches_what_posix_says() {
    for (expression, yes, no) in [
        ("", &["", "a"][..], &[][..]),
        ("abc", &["abc", "xabcx"], &["", "ab", "aBc"]),
        ("a.c", &["abc", "a\nc", "xa.cx"], &["ac", "abbc"]),
        ("^abc", &["abcd"], &["xabc"]),
        ("abc$", &["xabc"], &["abcx"]),
        ("^abc$", &["abc"], &["abcd", "xabc"]),
        ("^$", &[""], &["a"]),
        (".*abc.*", &["abc", "xabcx"], &["ab"]),
        ("^.*abc", &["xabc"], &["ab"]),
        ("abc.*$", &["abcx"], &["ab"]),
        (".+abc", &["xabc"], &["abc"]),
        ("ab*c", &["ac", "abbbc"], &["adc"]),
        ("ab+c", &["abc"], &["ac"]),
        ("^ab?c$", &["ac", "abc"], &["abbc"]),
        ("^a{2,3}$", &["aa", "aaa"], &["a", "aaaa"]),
        ("^a{2}$", &["aa"], &["a", "aaa"]),
        ("^a{2,}$", &["aa", "aaaaa"], &["a"]),
        ("^a{,2}$", &["", "aa"], &["aaa"]),
        ("^(ab|cd)+$", &["ab", "abcdab"], &["abc", ""]),
        ("audio|video", &["m audio", "video 1"], &["text"]),
        ("^(a|)b$", &["ab", "b"], &["cb"]),
        ("()a", &["a"], &["b"]),
        // A backslash takes the meaning of an operator, and gives none to a letter.
        (r"\+49\.\*", &["+49.*"], &["49"]),
        (r"^\d$", &["d"], &["5", r"\d"]),
        (r"a\/b\-c", &["a/b-c"], &["a"]),
        (r"[\d]", &["d", r"\"], &["5"]),
        ("[^0-9]", &["a", "1a"], &["123", ""]),
        ("^[[:alpha:]]+$", &["abC"], &["a1"]),
        ("^[]a]+$", &["]a"], &["b"]),
        // Anchors are anchors wherever they stand.
        ("a^b", &[], &["ab", "a^b"]),
        ("a$b", &[], &["ab", "a$b"]),
        ("(^a|b$)", &["ax", "xb"], &["xa", "bx"]),
        ("a{x}", &["a{x}"], &["ax"]),
        ("a**", &["", "aa"], &[]),
        ("^(a*)*b$", &["aaab"], &["aaac"]),
        ("ü", &["für"], &["fur"]),
        (".*\\.*", &["x", ""], &[]),
        ("^^a$$", &["a"], &["ab"]),
        (".*^a", &["a"], &["ba"]),
        ("a$.*", &["a"], &["ab"]),
    ] {
        let compiled = compile(expression);
        for text in yes {
            assert!(compiled.matches(text.as_bytes()), "{expression} matches {text:?}");
        }
        for text in no {
            assert!(!compiled.matches(text.as_bytes()), "{expression} does not match {text:?}");
        }
    }
}

#[test]
fn what_has_no_operators_needs_no_automaton() {
    for plain in ["", "abc", "^abc", "abc$", "^abc$", ".*abc.*", "^.*abc", r"^\+49", ".*", "^"] {
        assert!(!compile(plain).is_machine(), "{plain}");
    }
    for machine in ["a.c", "a|b", "[ab]", "a+", ".+", "a^b"] {
        assert!(compile(machine).is_machine(), "{machine}");
    }
    for always in ["", ".*", "^", "$", "^.*$", ".*.*"] {
        assert!(compile(always).is_always(), "{always}");
    }
    assert!(!compile("^$").is_always());
}

#[test]
fn case_is_ignored_where_it_is_asked_for() {
    for (expression, text) in
        [("example", "EXAMPLE.org"), ("^ex.*le", "eXample"), ("^[a-f]+$", "AbC"), ("ORG$", "example.org")]
    {
        let ignored = Compiler::default().compile(expression, Case::Ignored).unwrap();
        assert!(ignored.matches(text.as_bytes()), "{expression} {text}");
        assert!(!compile(expression).matches(text.as_bytes()), "{expression} {text}");
    }
}

/// What explodes when it is made deterministic, or is much to begin with.
#[test]
fn an_expression_that_is_too_large_is_refused() {
    for huge in ["a.{200}b", "(a|b)*a(a|b){20}", "(a{45}){45}x?.", "[ab]*a[ab]{60}$"] {
        let fault = Compiler::default().compile(huge, Case::Sensitive).unwrap_err();
        assert_eq!(fault.reason, Wrong::Large, "{huge}");
    }
}

#[test]
fn all_expressions_of_a_profile_together_have_a_bound_and_one_that_is_used_again_costs_nothing() {
    let mut compiler = Compiler::default();
    let large = |number: usize| format!("{number}a.{{8}}b");
    let refused = (0..1000).find(|number| compiler.compile(&large(*number), Case::Sensitive).is_err());
    let taken = refused.expect("there is an end to what a profile may take");
    assert!((4..128).contains(&taken), "{taken} were taken");
    let mut compiler = Compiler::default();
    let refused =
        (0..1000).find(|number| compiler.compile(&format!("{number}[ab]"), Case::Sensitive).is_err());
    assert_eq!(refused, Some(128), "small ones are counted too");
    let mut compiler = Compiler::default();
    (0..1000).for_each(|number| assert!(compiler.compile(&format!("{number}"), Case::Sensitive).is_ok()));
    let mut compiler = Compiler::default();
    (0..1000).for_each(|number| _ = compiler.compile(&large(number), Case::Sensitive));
    assert!(compiler.compile(&large(0), Case::Sensitive).is_ok(), "it is there already");
    assert!(compiler.compile("plain", Case::Sensitive).is_ok(), "it takes nothing");
}

#[test]
fn the_literal_of_an_expression_is_told_only_where_it_has_no_operator() {
    assert_eq!(literal("P-Asserted-Identity"), Some(b"P-Asserted-Identity".to_vec()));
    assert_eq!(literal(r"a\.b"), Some(b"a.b".to_vec()));
    for operators in ["a.b", "^a", "a|b", "a*", "["] {
        assert_eq!(literal(operators), None, "{operators}");
    }
}

/// Every expression of a few characters of the alphabet, against texts of the same.
#[test]
fn short_expressions_say_what_an_oracle_says() {
    const ALPHABET: &[u8] = b"ab.*+?|()^$[]{},1-";
    let mut taken = 0;
    for length in 1..=4u32 {
        for number in 0..ALPHABET.len().pow(length) {
            let letters =
                (0..length).map(|place| ALPHABET[number / ALPHABET.len().pow(place) % ALPHABET.len()]);
            let expression: Vec<u8> = letters.collect();
            // Of the long ones some, the same every time.
            if length == 4 && number % 97 != 0 {
                continue;
            }
            for text in [&b""[..], b"a", b"ab", b"ba", b"aab", b"a,b1"] {
                let data = [&expression[..], b"\n", text].concat();
                taken += u64::from(fuzz_expression(&data) >= 64);
            }
        }
    }
    assert!(taken > 5_000, "{taken} were expressions");
}
