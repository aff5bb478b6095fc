//! Blocks of pairs in as few blocks as sources or destinations that are alike make.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::pairs::Block;
use super::pods::At;

/// The same pairs, in blocks of all sources with equal destinations, or of all destinations with equal sources: which
/// of the two is fewer blocks. A pod with itself, which is always allowed, is no pair, and neither are two that claim one
/// address: `at_one` are the pods at a pod's address, itself among them.
pub(super) fn folded(blocks: &[Block], at_one: impl Fn(At) -> RoaringBitmap) -> Vec<Block> {
    let by_source = alike(blocks.iter().map(|block| (&block.sources, &block.destinations)));
    let by_destination = alike(blocks.iter().map(|block| (&block.destinations, &block.sources)));
    let folded = if by_source.len() < by_destination.len() {
        by_source
            .into_iter()
            .map(|(sources, destinations)| Block { sources, destinations })
            .collect::<Vec<_>>()
    } else {
        by_destination.into_iter().map(|(destinations, sources)| Block { sources, destinations }).collect()
    };
    folded.into_iter().filter_map(|block| without_itself(block, &at_one)).collect()
}

/// Groups the pods of one end by the pods of the other that they are in blocks with.
fn alike<'b>(
    blocks: impl Iterator<Item = (&'b RoaringBitmap, &'b RoaringBitmap)>,
) -> Vec<(RoaringBitmap, RoaringBitmap)> {
    let blocks: Vec<_> = blocks.collect();
    let mut places: BTreeMap<At, Vec<usize>> = BTreeMap::new();
    for (place, (ones, _)) in blocks.iter().enumerate() {
        for pod in *ones {
            places.entry(pod).or_default().push(place);
        }
    }
    let mut together: BTreeMap<Vec<usize>, RoaringBitmap> = BTreeMap::new();
    for (pod, places) in places {
        together.entry(places).or_default().insert(pod);
    }
    let mut groups: BTreeMap<Vec<At>, (RoaringBitmap, RoaringBitmap)> = BTreeMap::new();
    for (places, ones) in together {
        let mut others = RoaringBitmap::new();
        for place in places {
            others |= blocks[place].1;
        }
        let group = groups.entry(others.iter().collect()).or_insert_with(|| (RoaringBitmap::new(), others));
        group.0 |= ones;
    }
    groups.into_values().collect()
}

fn without_itself(block: Block, at_one: impl Fn(At) -> RoaringBitmap) -> Option<Block> {
    let Block { mut sources, mut destinations } = block;
    let [of_source, of_destination] = [&sources, &destinations].map(|pods| pods.min().map(&at_one));
    if let Some(itself) = of_source.filter(|itself| sources.is_subset(itself)) {
        destinations -= itself;
    } else if let Some(itself) = of_destination.filter(|itself| destinations.is_subset(itself)) {
        sources -= itself;
    }
    (!sources.is_empty() && !destinations.is_empty()).then_some(Block { sources, destinations })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(sources: &[At], destinations: &[At]) -> Block {
        Block { sources: sources.iter().collect(), destinations: destinations.iter().collect() }
    }

    fn alone(blocks: &[Block]) -> Vec<Block> {
        folded(blocks, |at| [at].into_iter().collect())
    }

    #[test]
    fn pods_that_claim_one_address_are_no_pair() {
        let at_one = |at| if at < 3 { [1, 2].into_iter().collect() } else { [at].into_iter().collect() };
        assert_eq!(folded(&[block(&[1, 2], &[1, 2])], at_one), []);
        assert_eq!(folded(&[block(&[1, 2], &[2, 3])], at_one), [block(&[1, 2], &[3])]);
        assert_eq!(folded(&[block(&[1, 3], &[2])], at_one), [block(&[3], &[2])]);
    }

    #[test]
    fn blocks_are_joined_by_the_side_that_makes_fewer() {
        let parts = [block(&[1], &[7, 8]), block(&[2], &[7]), block(&[2], &[8]), block(&[3, 4], &[7, 8])];
        assert_eq!(alone(&parts), [block(&[1, 2, 3, 4], &[7, 8])]);
        let one_more = [&parts[..], &[block(&[5], &[7])]].concat();
        assert_eq!(alone(&one_more).len(), 2);
        assert_eq!(alone(&[block(&[1, 2], &[1]), block(&[1, 2], &[2])]), [block(&[1, 2], &[1, 2])]);
        assert_eq!(alone(&[block(&[1], &[1])]), []);
        assert_eq!(alone(&[block(&[1], &[1, 2])]), [block(&[1], &[2])]);
    }
}
