//! What is reused, packed or cut into passes changes nothing but the time it takes.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::loaded;
use crate::judge::Judge;
use crate::{Options, Speaker, Turn};
use classifiers_llama_guard_prompt::{Prompt, Verdict};

/// In f32, sums of another order differ in the last digits.
const SAME: f32 = 1e-5;

fn model(keeps_prefixes: bool, pass: usize, kept: usize) -> crate::load::Loaded {
    let options = Options {
        keeps_prefixes,
        pass_tokens: Some(pass),
        kept_tokens: Some(kept),
        ..Options::default()
    };
    loaded("8b-f32", &options)
}

type Answers = Vec<Result<Verdict, classifiers_core::ClassifyError>>;

fn same(ours: &Answers, theirs: &Answers) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        match (a, b) {
            (Ok(a), Ok(b)) => {
                prop_assert!((a.full - b.full).abs() < SAME && (a.binary - b.binary).abs() < SAME);
                for ((_, a), (_, b)) in a.categories.iter().zip(&b.categories) {
                    prop_assert!((a - b).abs() < SAME, "{} {}", a, b);
                }
                prop_assert_eq!(&a.listed, &b.listed);
            }
            (a, b) => prop_assert_eq!(a, b),
        }
    }
    Ok(())
}

fn alone(judge: &mut Judge, prompts: &[Prompt]) -> Answers {
    prompts.iter().map(|prompt| judge.judge(std::slice::from_ref(prompt)).remove(0)).collect()
}

fn texts() -> impl Strategy<Value = Vec<(Vec<usize>, usize)>> {
    // Few words and few beginnings, so that much is shared; each conversation is asked about at several lengths.
    let conversation = (prop::collection::vec(0usize..12, 1..30), 1usize..4);
    prop::collection::vec(conversation, 1..9)
}

const WORDS: [&str; 12] = [
    "the", "weather", "dynamite", "please", "tell", "rice", "forgery", "and", "letter", "nine",
    "slander", "spring.",
];

fn turns(words: &[usize], turns: usize) -> Vec<Turn> {
    let speakers = [Speaker::User, Speaker::Agent].into_iter().cycle();
    let parts = words.chunks(words.len().div_ceil(turns));
    let said = parts.map(|part| part.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" "));
    speakers.zip(said).map(|(speaker, text)| Turn::new(speaker, text)).collect()
}

#[test]
fn reused_packed_chunked_and_evicted_give_the_same() {
    let plain = RefCell::new(model(false, 4096, 2048));
    let cases = RefCell::new(vec![
        ("reused", model(true, 4096, 8192)),
        ("chunked", model(true, 37, 8192)),
        // Room for hardly two prompts: everything is forgotten all the time, and batches come in waves.
        ("evicted", model(true, 100, 768)),
    ]);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    runner
        .run(&texts(), |conversations| {
            let plain = &mut *plain.borrow_mut();
            let prompts: Vec<Prompt> = conversations
                .iter()
                .flat_map(|(words, count)| {
                    plain
                        .asker
                        .windows(&turns(words, *count), false)
                        .unwrap()
                        .into_iter()
                        .map(|w| w.0)
                })
                .collect();
            let expected = alone(&mut plain.judge, &prompts);
            same(&plain.judge.judge(&prompts), &expected)?;
            for (name, model) in &mut *cases.borrow_mut() {
                let batched = model.judge.judge(&prompts);
                same(&batched, &expected)
                    .map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
                same(&alone(&mut model.judge, &prompts), &expected)?;
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_growing_answer_is_judged_as_if_it_were_new() {
    let mut growing = model(true, 512, 4096);
    let mut plain = model(false, 512, 4096);
    let words: Vec<usize> = (0..200).map(|n| (n * 7 + n / 5) % WORDS.len()).collect();
    let question = Turn::new(Speaker::User, "Please tell me about spring.");
    for until in (10..=words.len()).step_by(10) {
        let answer = turns(&words[..until], 1).remove(0).text;
        let said = [question.clone(), Turn::new(Speaker::Agent, answer)];
        let (prompt, _) = growing.asker.windows(&said, true).unwrap().remove(0);
        let computed = growing.judge.computed();
        let ours = growing.judge.judge(std::slice::from_ref(&prompt));
        let new = (growing.judge.computed() - computed) as usize;
        same(&ours, &plain.judge.judge(std::slice::from_ref(&prompt))).unwrap();
        // Ten words are some twenty tokens here; the rest is the end of the prompt and of the answer.
        let end = prompt.ids.len() - prompt.reusable + 4;
        assert!(
            until == 10 || new < end + 100,
            "{new} tokens at {until}, of which {end} are the end"
        );
    }
}

#[test]
fn nothing_is_lost_over_many_prompts() {
    let mut model = model(true, 512, 1024);
    let pages = 1024 / 16;
    for number in 0..400 {
        let said = format!("letter {number} {}", WORDS[number % WORDS.len()]);
        let (prompt, _) =
            model.asker.windows(&[Turn::new(Speaker::User, said)], false).unwrap().remove(0);
        assert!(
            model.judge.judge(&[prompt])[0] != Err(classifiers_core::ClassifyError::Overloaded)
        );
        assert!(model.judge.free_pages() <= pages);
    }
    // What is longer than the store is refused, and what is not is judged as before.
    let ids = vec![1; 2000];
    let long = Prompt { ids, reusable: 0, urgent: false };
    assert_eq!(model.judge.judge(&[long])[0], Err(classifiers_core::ClassifyError::Overloaded));
}
