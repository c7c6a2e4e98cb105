//! The Merkle tree over the hashes of a segment's records, as RFC 6962 builds it, with BLAKE3: one number that stands for
//! all of them, by which a single record can later be shown to have been there.

use crate::line::Digest;

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// A tree that grows at its right edge. Its memory is one hash for each doubling.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    /// Roots of complete subtrees, largest first, with the number of their leaves.
    subtrees: Vec<(u64, Digest)>,
}

impl Tree {
    /// Adds the hash of the next record.
    pub(crate) fn push(&mut self, record: Digest) {
        let mut leaves = 1;
        let mut root = Digest::of_parts(&[&[LEAF], record.bytes()]);
        while let Some((_, left)) = self.subtrees.pop_if(|(own, _)| *own == leaves) {
            root = node(left, root);
            leaves *= 2;
        }
        self.subtrees.push((leaves, root));
    }

    /// The root; of a tree without leaves the hash of nothing.
    pub(crate) fn root(&self) -> Digest {
        let smallest_first = self.subtrees.iter().rev().map(|(_, root)| *root);
        smallest_first
            .reduce(|right, left| node(left, right))
            .unwrap_or_else(|| Digest::of_parts(&[]))
    }
}

fn node(left: Digest, right: Digest) -> Digest {
    Digest::of_parts(&[&[NODE], left.bytes(), right.bytes()])
}

#[cfg(test)]
mod tests {
    use super::{LEAF, Tree, node};
    use crate::line::Digest;

    /// RFC 6962, 2.1, word for word.
    fn root(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of_parts(&[]),
            [one] => Digest::of_parts(&[&[LEAF], one.bytes()]),
            more => {
                let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
                node(root(left), root(right))
            }
        }
    }

    #[test]
    fn it_is_the_tree_of_the_rfc() {
        let leaves: Vec<Digest> = (0..70_u8).map(|n| Digest::of_parts(&[&[n]])).collect();
        let mut tree = Tree::default();
        for count in 0..leaves.len() {
            assert_eq!(tree.root(), root(&leaves[..count]), "{count} leaves");
            tree.push(leaves[count]);
        }
    }
}
