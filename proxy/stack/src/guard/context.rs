//! What was said before a text, for classifiers that judge a conversation.

use std::sync::Arc;

use classifiers_core::{Context, Direction, Passage, Role, Turn};

/// The passages of a request, each after the dialogue before it.
pub(super) fn in_context(passages: &[Passage]) -> Vec<Passage> {
    let turns = dialogue(passages);
    let mut until = 0;
    let placed = passages.iter().map(|passage| {
        let before = until;
        until += usize::from(is_turn(passage));
        match is_dialogue(passage) {
            true => passage.clone().after(Context::new(Arc::clone(&turns), before)),
            false => passage.clone(),
        }
    });
    placed.collect()
}

/// What an answer to the request of `passages` comes after.
pub(super) fn before_answer(passages: &[Passage]) -> Context {
    let turns = dialogue(passages);
    let until = turns.len();
    Context::new(turns, until)
}

/// `passages` of an answer, each after `context`.
pub(super) fn after(passages: &[Passage], context: &Context) -> Vec<Passage> {
    passages.iter().map(|passage| passage.clone().after(context.clone())).collect()
}

fn dialogue(passages: &[Passage]) -> Arc<[Turn]> {
    let turns = passages.iter().filter(|passage| is_turn(passage));
    turns.map(|passage| (passage.origin.role, Arc::clone(&passage.text))).collect()
}

/// What people and models say to each other; instructions, tools and their results are judged on their own.
fn is_dialogue(passage: &Passage) -> bool {
    let said = matches!(passage.origin.role, Role::User | Role::Assistant);
    said && passage.origin.direction == Direction::Input
}

/// What was put together for judging only has been said already.
fn is_turn(passage: &Passage) -> bool {
    is_dialogue(passage) && !passage.origin.at.contains('#')
}
