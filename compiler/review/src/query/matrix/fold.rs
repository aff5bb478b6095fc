//! Networks outside whose answers are those of the wider network around them tell nothing, and are left out.

use chainmail_contract::Family;
use ipnet::IpNet;

use super::{Answer, Matrix};
use crate::query::{End, Who};

/// Rows or columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Sources,
    Destinations,
}

impl Matrix {
    pub(super) fn fold_outside(&mut self) {
        for side in [Side::Sources, Side::Destinations] {
            let mut narrow: Vec<IpNet> = self.ends(side).iter().filter_map(outside_net).collect();
            narrow.sort_by_key(IpNet::prefix_len);
            for net in narrow.iter().rev() {
                self.fold(side, net);
            }
        }
    }

    /// Removes a network outside where the narrowest one around it has its answers.
    fn fold(&mut self, side: Side, net: &IpNet) {
        let ends = self.ends(side);
        let Some(at) = ends.iter().position(|end| outside_net(end) == Some(*net)) else { return };
        let around = |end: &End| match end.who {
            Who::Outside(None) => end.addresses.of(Family::of_net(net)).map(|_| 0),
            Who::Outside(Some(wide)) if wide != *net && wide.contains(net) => Some(1 + wide.prefix_len()),
            Who::Outside(Some(_)) | Who::Pod(_) | Who::Assumed(_) | Who::Address(_) => None,
        };
        let widths = ends.iter().enumerate().filter_map(|(place, end)| Some((around(end)?, place)));
        let Some((_, wide)) = widths.max() else { return };
        let family = Family::of_net(net);
        let alike = (0..self.across(side)).all(|other| {
            let [narrow, wide] = [at, wide].map(|place| match self.at(side, place, other) {
                Answer::Itself => None,
                Answer::Allowed(by_family) => by_family.get(&family),
            });
            narrow == wide
        });
        if alike {
            self.remove(side, at);
        }
    }

    fn ends(&self, side: Side) -> &[End] {
        match side {
            Side::Sources => &self.sources,
            Side::Destinations => &self.destinations,
        }
    }

    /// How many ends the other side has.
    fn across(&self, side: Side) -> usize {
        match side {
            Side::Sources => self.destinations.len(),
            Side::Destinations => self.sources.len(),
        }
    }

    fn at(&self, side: Side, place: usize, other: usize) -> &Answer {
        match side {
            Side::Sources => self.answer(place, other),
            Side::Destinations => self.answer(other, place),
        }
    }

    fn remove(&mut self, side: Side, place: usize) {
        let columns = self.destinations.len();
        let mut position = 0;
        self.answers.retain(|_| {
            let (row, column) = (position / columns, position % columns);
            position += 1;
            match side {
                Side::Sources => row != place,
                Side::Destinations => column != place,
            }
        });
        match side {
            Side::Sources => drop(self.sources.remove(place)),
            Side::Destinations => drop(self.destinations.remove(place)),
        }
    }
}

fn outside_net(end: &End) -> Option<IpNet> {
    match end.who {
        Who::Outside(net) => net,
        Who::Pod(_) | Who::Assumed(_) | Who::Address(_) => None,
    }
}
