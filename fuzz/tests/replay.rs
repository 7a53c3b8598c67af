//! The corpus of every target, and the seeds that are made: whatever was found once stays fixed.

use carillon_fuzz::{mutation, seeds, target};

#[test]
fn every_input_of_the_corpus_is_survived() {
    for target in target::ALL {
        let corpus = target.corpus();
        let made = seeds::of(target.name);
        assert!(!corpus.is_empty() || !made.is_empty(), "{} has nothing to start from", target.name);
        for (name, data) in corpus {
            println!("{} {name}", target.name);
            (target.run)(&data);
        }
        made.iter().for_each(|data| {
            (target.run)(data);
        });
    }
}

/// A few mutations of each, the same every time; the long runs are a command.
#[test]
fn mutations_of_the_seeds_are_survived() {
    let mut entropy = ambient::Entropy::seeded(0xf0221);
    for target in target::ALL {
        let mut inputs = seeds::of(target.name);
        inputs.extend(target.corpus().into_iter().map(|(_, data)| data));
        for round in 0..300 {
            let (seed, other) = (&inputs[round % inputs.len()], &inputs[(round / 3) % inputs.len()]);
            (target.run)(&mutation::mutate(&mut entropy, seed, other));
        }
    }
}

/// The scripts reach what they are for: otherwise they would test the front door alone.
#[test]
fn the_scripts_get_past_the_front_door() {
    for name in ["pcscf", "icscf", "scscf"] {
        let target = target::by_name(name).expect("a target");
        let whole = seeds::of(name)[0].clone();
        let ways: std::collections::BTreeSet<u64> = (0..whole.len())
            .filter(|at| *at == 0 || whole[at - 1] == carillon_fuzz::network::SEPARATOR)
            .map(|end| (target.run)(&whole[..end]))
            .collect();
        assert!(ways.len() >= 3, "{name} behaves in {} ways along its script", ways.len());
    }
}
