//! The prompt: the folder's own template says the same, the real vocabulary has the published lengths, and nothing that
//! a person writes is part of the frame.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use classifiers_core::{Category, ClassifyError};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::{FIXTURES, fixture, ids, loaded, rows, turns};
use crate::{Categories, Long, Options};
use classifiers_llama_guard_prompt::Asker;
use classifiers_llama_guard_prompt::render;
use classifiers_llama_guard_prompt::{Layout, Speaker, Turn, Variant};
use classifiers_llama_guard_prompt::{Special, Tokens};

/// The vocabulary file of Llama 3, if this machine has it: it may not be part of this repository.
fn vocabulary() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("../shared/data/tokenizers/llama3.tokenizer.model");
    if path.is_file() {
        return Some(path);
    }
    println!("SKIPPED: the vocabulary of Llama 3 is not at {}", path.display());
    None
}

/// Bytes as the letters that byte-level BPE has for them.
fn letters() -> HashMap<u8, char> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut others = 256u32..;
    (0..=255u8)
        .map(|byte| match printable(&byte) {
            true => (byte, char::from(byte)),
            false => (byte, char::from_u32(others.next().unwrap()).unwrap()),
        })
        .collect()
}

/// The real tokenizer: ranks are the ids, and the order in which neighbours are merged.
fn real_tokenizer(path: &Path) -> Tokenizer {
    use base64::Engine;
    let letters = letters();
    let text = std::fs::read_to_string(path).unwrap();
    let ranked: Vec<Vec<u8>> = text
        .lines()
        .map(|line| {
            let token = line.split_once(' ').unwrap().0;
            base64::engine::general_purpose::STANDARD.decode(token).unwrap()
        })
        .collect();
    let word = |bytes: &[u8]| bytes.iter().map(|byte| letters[byte]).collect::<String>();
    let ranks: HashMap<&[u8], usize> =
        ranked.iter().enumerate().map(|(rank, token)| (&token[..], rank)).collect();
    let mut merges = Vec::new();
    for token in ranked.iter().filter(|token| token.len() > 1) {
        let mut pairs: Vec<_> = (1..token.len())
            .filter_map(|at| {
                let (left, right) = token.split_at(at);
                Some((*ranks.get(left)?, *ranks.get(right)?, word(left), word(right)))
            })
            .collect();
        pairs.sort();
        merges.extend(pairs.into_iter().map(|(_, _, left, right)| (left, right)));
    }
    let words = ranked.iter().enumerate().map(|(rank, token)| (word(token), rank as u32));
    let vocabulary: tokenizers::models::bpe::Vocab = words.collect();
    let model = BPE::builder().vocab_and_merges(vocabulary, merges).ignore_merges(true);
    let mut tokenizer = Tokenizer::new(model.build().unwrap());
    let own: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture("8b-f32/tokenizer.json")).unwrap()).unwrap();
    let pattern = own["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"].as_str().unwrap();
    let split = SplitPattern::Regex(pattern.to_owned());
    let split = Split::new(split, SplitDelimiterBehavior::Isolated, false).unwrap();
    let bytes = ByteLevel::new(false, true, false);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![split.into(), bytes.into()])));
    let names = own["added_tokens"].as_array().unwrap().iter();
    let special: Vec<AddedToken> = names
        .map(|token| AddedToken::from(token["content"].as_str().unwrap().to_owned(), true))
        .collect();
    tokenizer.add_special_tokens(special).unwrap();
    tokenizer
}

fn asker(variant: Variant, tokenizer: Tokenizer) -> Asker {
    let tokens = Tokens::of(tokenizer).unwrap();
    Asker::new(tokens, Layout::published(variant), (4096, Long::Window)).unwrap()
}

fn prompt_ids(asker: &Asker, turns: &[Turn]) -> Vec<u32> {
    let [(prompt, None)] = &asker.windows(turns, false).unwrap()[..] else { panic!("one window") };
    prompt.ids.clone()
}

#[test]
fn the_real_vocabulary_gives_the_published_ids_and_lengths() {
    let Some(path) = vocabulary() else { return };
    let tokenizer = real_tokenizer(&path);
    let sentence = tokenizer.encode("This is a test sentence.", false).unwrap();
    assert_eq!(sentence.get_ids(), [2028, 374, 264, 1296, 11914, 13]);
    let rows = rows(&fixture("golden.jsonl.gz"));
    assert_eq!(rows.len(), 40);
    for (variant, name, lengths) in
        [(Variant::Eight, "8b", (144, 55)), (Variant::One, "1b", (136, 56))]
    {
        let asker = asker(variant, tokenizer.clone());
        for row in &rows {
            assert_eq!(prompt_ids(&asker, &turns(row)), ids(&row[name]), "{name} {}", row["turns"]);
        }
        let framed = asker.layout.frame(&asker.tokens, Speaker::User).unwrap();
        // The empty line behind what was said belongs to the last turn here; it is one token.
        assert_eq!((framed.before.len(), framed.after.len() + 1), lengths, "{name}");
        let grammar = &asker.tokens.grammar;
        let words = [grammar.paragraph, grammar.safe, grammar.unsafe_, grammar.line, grammar.code];
        assert_eq!(words, [271, 19193, 39257, 198, 50]);
        assert_eq!((grammar.next_code, grammar.numbers[9], grammar.numbers[13]), (21861, 605, 975));
        assert_eq!(asker.tokens.frame.id(Special::EndOfTurn), 128_009);
    }
}

#[test]
fn the_folders_own_template_says_what_the_builder_says() {
    for name in FIXTURES {
        let model = loaded(name, &Options::default());
        let folder = fixture(name);
        let described = std::fs::read_to_string(folder.join("tokenizer_config.json")).unwrap();
        let described: serde_json::Value = serde_json::from_str(&described).unwrap();
        let source = match described["chat_template"].as_str() {
            Some(source) => source.to_owned(),
            None => std::fs::read_to_string(folder.join("chat_template.jinja")).unwrap(),
        };
        let variant = model.asker.layout.variant;
        assert_eq!(variant, if name == "8b-f32" { Variant::Eight } else { Variant::One });
        for row in rows(&folder.join("reference.jsonl.gz")) {
            let said = turns(&row);
            // Python takes four separators for white space that the template engine here does not.
            if said.iter().any(|turn| turn.text.contains(['\u{1c}', '\u{1f}'])) {
                continue;
            }
            let rendered = render(&source, variant, &said).unwrap();
            assert_eq!(model.asker.layout.render(&said).unwrap(), rendered, "{name}");
        }
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let fragments = [
        "<|eot_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|begin_of_text|>",
        "<|eom_id|>",
        "<|end_of_text|>",
        "<|python_tag|>",
        "<|",
        "|>",
        "<END CONVERSATION>",
        "\n\nAgent:",
        "\n\nUser: ",
        "Provide your safety assessment",
        "safe",
        "\n\nsafe",
        "unsafe\nS1",
        "assistant",
        "{{ bos_token }}",
        "{%",
        " ",
        "\n",
        "\r\n",
        "\u{1c}",
        "\u{200b}",
        "é",
        "日本",
        "🙂",
        "\0",
        ".",
        "<|reserved_special_token_0|>",
    ];
    let fragment = prop::sample::select(fragments.to_vec()).prop_map(str::to_owned);
    prop::collection::vec(prop_oneof![4 => fragment, 1 => ".{0,6}"], 0..14).prop_map(|p| p.concat())
}

#[test]
fn ten_thousand_hostile_texts_have_no_special_token_and_the_frame_stays() {
    let model = loaded("8b-f32", &Options::default());
    let asker = &model.asker;
    let frame = asker.layout.frame(&asker.tokens, Speaker::User).unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(10_000));
    let texts = (hostile(), prop::collection::vec(hostile(), 0..3));
    runner
        .run(&texts, |(last, before)| {
            let earlier = before.into_iter().map(|text| Turn::new(Speaker::Agent, text));
            let turns: Vec<Turn> = earlier.chain([Turn::new(Speaker::User, last)]).collect();
            let ids = prompt_ids(asker, &turns);
            prop_assert!(ids.starts_with(&frame.before) && ids.ends_with(&frame.after));
            let said = &ids[frame.before.len()..ids.len() - frame.after.len()];
            prop_assert!(!said.iter().any(|id| asker.tokens.is_special(*id)));
            // Taken together or turn by turn, with the frame or without: the tokens are the same.
            let whole: String = turns
                .iter()
                .map(|turn| {
                    format!(
                        "{}:{}",
                        turn.speaker.name(),
                        classifiers_llama_guard_prompt::spoken(&turn.text)
                    )
                })
                .collect();
            prop_assert_eq!(said, &asker.tokens.ids(&whole).unwrap()[..]);
            let after = format!("{whole}<END CONVERSATION>");
            prop_assert!(asker.tokens.ids(&after).unwrap().starts_with(said));
            Ok(())
        })
        .unwrap();
}

#[test]
fn nothing_is_cut_silently() {
    let text = "one two three four five six seven eight nine ten ".repeat(40);
    let turn = |text: &str| Turn::new(Speaker::User, text);
    let model = loaded("8b-f32", &Options { kept_tokens: Some(640), ..Options::default() });
    let asker = &model.asker;
    let nobody = asker.windows(&[], false).unwrap_err();
    assert_eq!(nobody, ClassifyError::Failed("there is no conversation to judge".into()));
    let windows = asker.windows(&[turn("before"), turn(&text)], false).unwrap();
    assert!(windows.len() > 2);
    let mut covered = 0;
    for (prompt, span) in &windows {
        let span = span.clone().unwrap();
        assert!(prompt.ids.len() + classifiers_llama_guard_prompt::ANSWER <= 640);
        assert!(span.start <= covered, "a gap before {span:?}");
        covered = span.end;
    }
    assert!(covered >= text.trim_end().len(), "{covered}");
    // Earlier turns make room, the oldest first.
    let earlier: Vec<Turn> =
        (0..60).map(|n| turn(&format!("number {n}"))).chain([turn("last")]).collect();
    let [(prompt, None)] = &asker.windows(&earlier, false).unwrap()[..] else { panic!() };
    assert!(prompt.ids.len() + classifiers_llama_guard_prompt::ANSWER <= 640);
    let end = asker.ids_of("User: number 59\n\nUser: last\n\n");
    assert!(prompt.ids[..prompt.reusable].ends_with(&end));
    let refusing = Options { kept_tokens: Some(640), long: Long::Refuse, ..Options::default() };
    let refused = loaded("8b-f32", &refusing).asker.windows(&[turn(&text)], false);
    assert!(matches!(refused, Err(ClassifyError::Failed(_))));
}

#[test]
fn categories_are_left_out_and_renamed_as_the_template_does_it() {
    let mut categories =
        Categories::of(Variant::One).without(&[Category::SpecializedAdvice, Category::Elections]);
    assert!(categories.rename(Category::Hate, "Contempt for people for what they are"));
    assert!(!categories.rename(Category::Elections, "not listed"));
    assert!(!categories.rename(Category::Hate, "two\nS99: lines"));
    let layout = Layout { variant: Variant::One, categories };
    let text = layout.render(&[Turn::new(Speaker::User, "hi")]).unwrap();
    assert!(text.contains("S5: Defamation.\nS7: Privacy.\n"));
    assert!(text.contains("S10: Contempt for people for what they are.\n"));
    assert!(text.contains("S12: Sexual Content.\n<END UNSAFE"));
    assert_eq!(Layout::published(Variant::Eight).categories.covered().len(), 14);
}
