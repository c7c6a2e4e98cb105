//! Which page of the key-value store holds which tokens: a tree of token prefixes, without tensors.
//!
//! A page holds the keys and values of up to [`PAGE`] tokens. What was computed for a prefix is the same for every
//! conversation that begins with it, so pages are shared: the tree finds the longest prefix that is known, and forgets
//! what was used longest ago when room is needed. A prefix that ends inside a page is copied, so none is computed twice.

use std::collections::BTreeMap;

/// Tokens in a page. The constant beginning of the 8B's prompt, 144 tokens, fills nine of them.
pub(crate) const PAGE: usize = 16;

/// Place of a node in the tree.
type Id = u64;
/// The node that everything begins with.
const ROOT: Id = 0;

/// The tree, and the pages that are free.
#[derive(Debug)]
pub(crate) struct Pages {
    nodes: BTreeMap<Id, Node>,
    /// Free pages; the lowest is taken first, so that neighbours stay together.
    free: std::collections::BTreeSet<u32>,
    newest: Id,
    clock: u64,
}

/// A page that the tree keeps.
#[derive(Debug, Default)]
struct Node {
    parent: Id,
    page: u32,
    /// Its tokens: a full page may have children, another never does.
    tokens: Vec<u32>,
    children: Vec<Id>,
    /// Sequences that read it now.
    readers: usize,
    used: u64,
}

/// Where the tokens of one sequence are while it is computed.
#[derive(Debug)]
pub(crate) struct Sequence {
    /// The last shared page; ROOT if there is none.
    from: Id,
    /// Pages in order: first the shared ones, then its own.
    pages: Vec<u32>,
    shared: usize,
    /// Tokens whose keys and values are there already.
    pub(crate) known: usize,
    /// Rows to be copied before anything else: from this slot, so many, to the first own page.
    pub(crate) copy: Option<(u32, usize)>,
}

impl Pages {
    /// A tree over `pages` free pages.
    pub(crate) fn new(pages: usize) -> Self {
        let free = (0..u32::try_from(pages).unwrap_or(u32::MAX)).collect();
        let nodes = BTreeMap::from([(ROOT, Node::default())]);
        Self { nodes, free, newest: ROOT, clock: 0 }
    }

    /// Pages that nothing occupies.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// Begins a sequence: finds what is known of the first `reusable` of `tokens`, and gives it pages for all of them
    /// and `room` more. `None` if there are not enough pages, even when all is forgotten that nobody reads.
    pub(crate) fn begin(
        &mut self,
        tokens: &[u32],
        reusable: usize,
        room: usize,
    ) -> Option<Sequence> {
        self.clock += 1;
        let wanted = tokens.get(..reusable.min(tokens.len())).unwrap_or_default();
        let (path, partial) = self.find(wanted);
        let from = path.last().copied().unwrap_or(ROOT);
        let mut pages: Vec<u32> =
            path.iter().filter_map(|id| self.nodes.get(id)).map(|node| node.page).collect();
        let shared = pages.len();
        self.read(from, true);
        let own = (tokens.len() + room).div_ceil(PAGE) - shared;
        let mut copy = partial;
        // What is to be copied must not be forgotten for the copy's sake, unless there is no other way.
        let taken = self.take_beside(own, partial.map(|(id, _)| id)).or_else(|| {
            copy = None;
            self.take(own)
        });
        let Some(taken) = taken else {
            self.read(from, false);
            return None;
        };
        let copy = copy.and_then(|(id, count)| {
            let node = self.nodes.get_mut(&id)?;
            node.used = self.clock;
            Some((node.page * PAGE as u32, count))
        });
        pages.extend(taken);
        let known = shared * PAGE + copy.map_or(0, |(_, count)| count);
        Some(Sequence { from, pages, shared, known, copy })
    }

    /// Ends a sequence whose tokens were all computed, and keeps the first `keep` of them for others.
    pub(crate) fn finish(&mut self, sequence: Sequence, tokens: &[u32], keep: usize) {
        self.read(sequence.from, false);
        let mut parent = sequence.from;
        let kept = tokens.get(..keep.min(tokens.len())).unwrap_or_default();
        let mut chunks = kept.chunks(PAGE).skip(sequence.shared);
        for page in sequence.pages.into_iter().skip(sequence.shared) {
            match chunks.next() {
                Some(chunk) => parent = self.insert(parent, chunk, page),
                None => {
                    self.free.insert(page);
                }
            }
        }
    }

    /// Ends a sequence of which nothing is kept.
    pub(crate) fn abandon(&mut self, sequence: Sequence) {
        self.finish(sequence, &[], 0);
    }

    /// The pages that hold the longest known prefix of `tokens`, and the page that holds most of what follows.
    fn find(&mut self, tokens: &[u32]) -> (Vec<Id>, Option<(Id, usize)>) {
        let mut path = Vec::new();
        let mut at = ROOT;
        for chunk in tokens.chunks(PAGE) {
            let Some((id, common)) = self.best_child(at, chunk) else { return (path, None) };
            if common < PAGE {
                return (path, Some((id, common)));
            }
            if let Some(node) = self.nodes.get_mut(&id) {
                node.used = self.clock;
            }
            path.push(id);
            at = id;
        }
        (path, None)
    }

    /// The child of `at` that begins most like `chunk`, and how many tokens they have in common.
    fn best_child(&self, at: Id, chunk: &[u32]) -> Option<(Id, usize)> {
        let children = self.nodes.get(&at)?.children.iter();
        let common = children.filter_map(|id| {
            let tokens = &self.nodes.get(id)?.tokens;
            Some((*id, tokens.iter().zip(chunk).take_while(|(a, b)| a == b).count()))
        });
        common.max_by_key(|(_, common)| *common).filter(|(_, common)| *common > 0)
    }

    fn read(&mut self, id: Id, begins: bool) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.readers = if begins { node.readers + 1 } else { node.readers.saturating_sub(1) };
        }
    }

    /// Takes `count` pages and leaves `kept` alone.
    fn take_beside(&mut self, count: usize, kept: Option<Id>) -> Option<Vec<u32>> {
        kept.into_iter().for_each(|id| self.read(id, true));
        let taken = self.take(count);
        kept.into_iter().for_each(|id| self.read(id, false));
        taken
    }

    /// Takes `count` pages, forgetting as much as must be; none if that is not enough.
    fn take(&mut self, count: usize) -> Option<Vec<u32>> {
        while self.free.len() < count {
            let idle = self
                .nodes
                .iter()
                .filter(|(id, node)| **id != ROOT && node.readers == 0 && node.children.is_empty());
            let (&oldest, _) = idle.min_by_key(|(_, node)| node.used)?;
            self.forget(oldest);
        }
        Some((0..count).filter_map(|_| self.free.pop_first()).collect())
    }

    fn forget(&mut self, id: Id) {
        let Some(node) = self.nodes.remove(&id) else { return };
        self.free.insert(node.page);
        if let Some(parent) = self.nodes.get_mut(&node.parent) {
            parent.children.retain(|child| *child != id);
        }
    }

    /// Keeps `page` with `tokens` behind `parent`, unless they are known there already; the node that has them.
    fn insert(&mut self, parent: Id, tokens: &[u32], page: u32) -> Id {
        if let Some((id, common)) = self.best_child(parent, tokens) {
            if common == tokens.len() {
                self.free.insert(page);
                return id;
            }
            // What a growing text left behind is of no more use.
            let outgrown = |node: &Node| node.tokens.len() == common && node.readers == 0;
            if self.nodes.get(&id).is_some_and(outgrown) {
                self.forget(id);
            }
        }
        self.newest += 1;
        let id = self.newest;
        let used = self.clock;
        let node = Node { parent, page, tokens: tokens.to_vec(), used, ..Node::default() };
        self.nodes.insert(id, node);
        if let Some(parent) = self.nodes.get_mut(&parent) {
            parent.children.push(id);
        }
        id
    }
}

impl Sequence {
    /// The slots of its first `count` tokens: where in the store their keys and values are.
    pub(crate) fn slots(&self, count: usize) -> Vec<u32> {
        let width = PAGE as u32;
        let slots = self.pages.iter().flat_map(|page| page * width..(page + 1) * width);
        slots.take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every page is free, in the tree, or in one running sequence.
    fn check(pages: &Pages, running: &[(Vec<u32>, Sequence)], all: usize) {
        let mut seen = vec![0; all];
        for page in &pages.free {
            seen[*page as usize] += 1;
        }
        for (id, node) in &pages.nodes {
            if *id != ROOT {
                seen[node.page as usize] += 1;
                assert!(node.tokens.len() == PAGE || node.children.is_empty());
                assert!(pages.nodes[&node.parent].children.contains(id));
            }
        }
        for (_, sequence) in running {
            for page in &sequence.pages[sequence.shared..] {
                seen[*page as usize] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count == 1), "{seen:?}");
    }

    proptest! {
        /// The store is played by a list of the tokens that were written to each slot.
        #[test]
        fn what_is_reused_is_what_was_written(
            steps in prop::collection::vec((prop::collection::vec(0u32..2, 1..70), 0usize..80, 0u8..4), 1..60),
        ) {
            const ALL: usize = 12;
            let mut pages = Pages::new(ALL);
            let mut store = vec![u32::MAX; ALL * PAGE];
            let mut running: Vec<(Vec<u32>, Sequence)> = Vec::new();
            for (tokens, reusable, then) in steps {
                if let Some(sequence) = pages.begin(&tokens, reusable, 3) {
                    prop_assert!(sequence.known <= reusable.min(tokens.len()));
                    let slots = sequence.slots(tokens.len() + 3);
                    prop_assert_eq!(slots.len(), tokens.len() + 3);
                    if let Some((from, count)) = sequence.copy {
                        let begin = sequence.shared * PAGE;
                        for row in 0..count {
                            store[slots[begin + row] as usize] = store[from as usize + row];
                        }
                    }
                    for at in 0..tokens.len() {
                        let slot = slots[at] as usize;
                        if at < sequence.known {
                            prop_assert_eq!(store[slot], tokens[at]);
                        } else {
                            store[slot] = tokens[at];
                        }
                    }
                    running.push((tokens, sequence));
                }
                check(&pages, &running, ALL);
                if then > 0 && !running.is_empty() {
                    let (tokens, sequence) = running.remove(0);
                    // Whatever began since has not disturbed it.
                    for (slot, token) in sequence.slots(tokens.len()).iter().zip(&tokens) {
                        prop_assert_eq!(store[*slot as usize], *token);
                    }
                    let keep = tokens.len() - tokens.len() / usize::from(then + 1);
                    if then == 3 { pages.abandon(sequence) } else { pages.finish(sequence, &tokens, keep) }
                }
                check(&pages, &running, ALL);
            }
            for (_, sequence) in running.drain(..) {
                pages.abandon(sequence);
            }
            prop_assert!(pages.begin(&[7; ALL * PAGE], 0, 0).is_some(), "all can be had again");
        }
    }

    #[test]
    fn a_growing_text_computes_each_token_once() {
        let mut pages = Pages::new(8);
        let text: Vec<u32> = (0..60).collect();
        let mut known = 0;
        for end in [10, 25, 33, 60] {
            let sequence = pages.begin(&text[..end], end, 0).unwrap();
            assert_eq!(sequence.known, known);
            pages.finish(sequence, &text[..end], end);
            known = end;
        }
        assert_eq!(pages.free(), 4);
    }
}
