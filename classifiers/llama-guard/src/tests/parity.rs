//! Against Python's `transformers`: what `tools/make_models.py` wrote down.

use super::{FIXTURES, fixture, ids, loaded, numbers, rows, turns};
use crate::load::Loaded;
use crate::{Options, Precision};
use classifiers_llama_guard_prompt::{Prompt, Verdict};

fn prompt(loaded: &Loaded, row: &serde_json::Value) -> Prompt {
    let windows = loaded.asker.windows(&turns(row), false).unwrap();
    let [(prompt, None)] = &windows[..] else { panic!("one window") };
    prompt.clone()
}

fn written(verdict: &Verdict) -> String {
    let listed: Vec<String> = verdict.listed.iter().map(|number| format!("S{number}")).collect();
    match verdict.is_unsafe {
        true => format!("\n\nunsafe\n{}", listed.join(",")),
        false => "\n\nsafe".to_owned(),
    }
}

/// The order of `scores`, of those that differ by more than `apart` from the next.
fn ranking(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

#[test]
fn logits_verdicts_and_lists_are_those_of_the_reference() {
    for name in FIXTURES {
        let mut model = loaded(name, &Options::default());
        let mut worst = 0.0f32;
        for row in rows(&fixture(name).join("reference.jsonl.gz")) {
            let prompt = prompt(&model, &row);
            assert_eq!(prompt.ids, ids(&row["ids"]), "{name}: {}", row["turns"]);
            let said = model.asker.layout.render(&turns(&row)).unwrap();
            assert_eq!(said, row["rendered"].as_str().unwrap());
            for (place, wanted) in row["logits"].as_array().into_iter().flatten().enumerate() {
                let logits = model.judge.logits(&prompt).unwrap();
                assert_eq!(logits.len(), 5);
                let apart = logits[place].iter().zip(numbers(wanted)).map(|(a, b)| (a - b).abs());
                worst = apart.fold(worst, f32::max);
            }
            let verdict = model.judge.judge(&[prompt]).remove(0);
            match verdict {
                Ok(verdict) => {
                    assert_eq!(written(&verdict), row["greedy"].as_str().unwrap(), "{name}");
                    let [safe, unsafe_] = numbers(&row["verdict"])[..] else { panic!() };
                    let expected = 1.0 / (1.0 + (safe - unsafe_).exp());
                    assert!((verdict.binary - expected).abs() < 1e-4, "{name}");
                    assert!(verdict.full <= verdict.binary + 1e-6);
                    let shares: Vec<f32> = verdict.categories.iter().map(|(_, p)| *p).collect();
                    assert_eq!(ranking(&shares), ranking(&numbers(&row["categories"])));
                    assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                }
                // The small models were taught little: to some texts they answer what is no answer.
                Err(error) => {
                    let said = row["greedy"].as_str().unwrap();
                    assert!(!is_answer(said), "{name}: {error} where it says {said:?}");
                }
            }
        }
        println!("{name}: logits within {worst:e}");
        assert!(worst < 1e-4, "{name}: {worst}");
    }
}

fn is_answer(said: &str) -> bool {
    let listed = said.strip_prefix("\n\nunsafe\nS").map(|listed| listed.split(",S"));
    let codes: Option<Vec<u32>> = listed.and_then(|l| l.map(|code| code.parse().ok()).collect());
    let fits = |codes: &Vec<u32>| {
        codes.iter().enumerate().all(|(at, n)| (1..=14).contains(n) && !codes[..at].contains(n))
    };
    said == "\n\nsafe" || codes.is_some_and(|codes| fits(&codes))
}

#[test]
fn sixteen_bits_give_the_same_verdicts_in_the_same_order() {
    for name in FIXTURES {
        let options = Options { precision: Some(Precision::F16), ..Options::default() };
        let mut model = loaded(name, &options);
        let mut worst = 0.0f32;
        for (at, row) in rows(&fixture(name).join("reference.jsonl.gz")).iter().enumerate() {
            let verdict = model.judge.judge(&[prompt(&model, row)]).remove(0);
            let Ok(verdict) = verdict else {
                let said = row["greedy"].as_str().unwrap();
                assert!(
                    !is_answer(said),
                    "{name}: {verdict:?} where it says {said:?} to {}",
                    row["turns"]
                );
                continue;
            };
            let said = row["greedy"].as_str().unwrap();
            assert_eq!(verdict.is_unsafe, said.starts_with("\n\nunsafe"), "{name}: {said:?}");
            // The first forty are unlike anything that the small models were taught: their lists are ties.
            assert!(at < 40 || written(&verdict) == said, "{name}: {verdict:?} {said:?}");
            let shares: Vec<f32> = verdict.categories.iter().map(|(_, p)| *p).collect();
            let wanted = numbers(&row["categories"]);
            // What half precision cannot tell apart has no order in it.
            for pair in ranking(&wanted).windows(2) {
                if wanted[pair[0]] - wanted[pair[1]] > 0.05 {
                    assert!(
                        shares[pair[0]] >= shares[pair[1]],
                        "{name}: {pair:?} {wanted:?} {shares:?}"
                    );
                }
            }
            let [safe, unsafe_] = numbers(&row["verdict"])[..] else { panic!() };
            worst = worst.max((verdict.binary - 1.0 / (1.0 + (safe - unsafe_).exp())).abs());
        }
        println!("{name}: probabilities in f16 within {worst:e}");
    }
}
