//! Holds what becomes of packets against what must.

use std::net::IpAddr;
use std::rc::Rc;

use chainmail_contract::Transport;
use chainmail_model::Refusal;
use chainmail_verdict::exact::{
    AddressSet, Ending, ModeSet, Part, Piece, Service, ServiceSet, Summary, Traffic, split,
};
use chainmail_verdict::{PortRange, RejectWith};

use super::Agreements;
use super::contract::{Clause, Contract, Exit, Expected, Way};

/// Packets of which one becomes something else than must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The end that this half is about.
    pub(super) subject: IpAddr,
    /// The other end, and the service.
    pub(super) peer: IpAddr,
    pub(super) service: Service,
    /// What else it is.
    pub(super) part: Part,
    /// What must become of it.
    pub(super) expected: Expected,
    /// What becomes of it.
    pub(super) ending: Ending,
}

pub(super) struct Compare<'c> {
    contract: &'c Contract,
    agreements: &'c mut Agreements,
    all: ModeSet,
    refusal: Refusal,
    /// Parts that pieces share, and whether the policies judge all of them.
    judged: Vec<(Rc<[Part]>, bool)>,
}

impl<'c> Compare<'c> {
    pub(super) fn new(
        contract: &'c Contract,
        agreements: &'c mut Agreements,
        all: ModeSet,
        refusal: Refusal,
    ) -> Self {
        Self { contract, agreements, all, refusal, judged: Vec::new() }
    }

    /// Looks for a packet of a piece that becomes something else than must.
    pub(super) fn piece(&mut self, piece: &Piece) -> Option<Found> {
        // Nearly all pieces are of one isolated pod, and of packets that its policies judge.
        if let Some(pod) = piece.subjects.single()
            && let Some(Expected::Policies { allowed, way, .. }) = self.contract.isolated.get(&pod)
            && self.are_judged(&piece.parts)
            && self.policies(pod, &piece.traffic, allowed, *way, &piece.ending).is_none()
        {
            return None;
        }
        let traffic = [Part { modes: self.all.clone(), traffic: Rc::clone(&piece.traffic) }];
        let whole = vec![(piece.subjects.clone(), split(&piece.parts, &traffic).0)];
        let contract = self.contract;
        let (mut found, left) =
            self.clauses(contract.unseen.iter().chain(&contract.before), whole, &piece.ending);
        let mut others = Vec::new();
        for (subjects, parts) in left {
            for (pod, expected) in contract.isolated.iter().filter(|(pod, _)| subjects.contains(**pod)) {
                let pod = AddressSet::one(*pod);
                let first = parts.iter().find_map(|part| self.packets(&pod, part, &piece.ending, expected));
                found = found.or(first);
            }
            others.push((subjects.difference(&contract.pods), parts));
        }
        let (last, left) = self.clauses(contract.after.iter(), others, &piece.ending);
        debug_assert!(left.is_empty(), "the last clause is about everything");
        found.or(last)
    }

    /// Whether all packets of some parts, of isolated pods, come to the policies. Pieces share their parts.
    fn are_judged(&mut self, parts: &Rc<[Part]>) -> bool {
        let judged = &self.contract.judged;
        let within = || parts.iter().all(|part| judged.iter().any(|judged| part.is_within(judged)));
        match self.judged.iter().find(|(known, _)| Rc::ptr_eq(known, parts)) {
            Some((_, answer)) => *answer,
            None => {
                let answer = within();
                self.judged.push((Rc::clone(parts), answer));
                answer
            }
        }
    }

    /// Holds packets against clauses in order, and gives what no clause decides.
    fn clauses<'k>(
        &mut self,
        clauses: impl Iterator<Item = &'k Clause>,
        mut groups: Vec<(AddressSet, Vec<Part>)>,
        ending: &Ending,
    ) -> (Option<Found>, Vec<(AddressSet, Vec<Part>)>) {
        let mut found = None;
        for clause in clauses {
            let mut left = Vec::new();
            for (subjects, parts) in groups {
                let inside = subjects.intersection(&clause.subjects);
                if inside.is_empty() {
                    left.push((subjects, parts));
                    continue;
                }
                let (within, rest) = split(&parts, &clause.parts);
                let first =
                    within.iter().find_map(|part| self.packets(&inside, part, ending, &clause.expected));
                found = found.or(first);
                let outside = subjects.difference(&inside);
                left.push((inside, rest));
                left.push((outside, parts));
            }
            left.retain(|(subjects, parts)| !subjects.is_empty() && !parts.is_empty());
            groups = left;
        }
        (found, groups)
    }

    /// Holds packets of which one thing is expected against where they end.
    fn packets(
        &mut self,
        subjects: &AddressSet,
        part: &Part,
        ending: &Ending,
        expected: &Expected,
    ) -> Option<Found> {
        let wrong = match (expected, subjects.single()) {
            (Expected::Policies { allowed, way, .. }, Some(pod)) => {
                self.policies(pod, &part.traffic, allowed, *way, ending)
            }
            _ => wrong_where(&part.traffic, ending, &|ending| is(expected, ending, self.refusal)),
        };
        let (peer, service) = plainest(&wrong?)?;
        Some(Found {
            subject: subjects.first()?,
            peer,
            service,
            part: part.clone(),
            expected: expected.clone(),
            ending: ending.clone(),
        })
    }

    /// What of an isolated pod's traffic is treated wrongly.
    fn policies(
        &mut self,
        pod: IpAddr,
        traffic: &Traffic,
        allowed: &Rc<Traffic>,
        way: Way,
        ending: &Ending,
    ) -> Option<Traffic> {
        let allows = Expected::Allowed(way);
        let refusal = self.refusal;
        let right = |ending: &Ending| is(&allows, ending, refusal);
        let has_itself = traffic.peer_sets().any(|peers| peers.contains(pod));
        let is_itself = |peers: &AddressSet| peers.is_empty() || peers.single() == Some(pod);
        if has_itself && right(ending) && traffic.peer_sets().all(is_itself) {
            return None;
        }
        if let Ending::Chain { summary, returned, .. } = ending
            && right(returned)
            && !has_itself
            && self.agree(summary, allowed)
        {
            return None;
        }
        // "A pod cannot block access to itself" (page).
        let itself = Traffic::of(Rc::new(AddressSet::one(pod)), &ServiceSet::all());
        let others = if has_itself { traffic.difference(&itself) } else { traffic.clone() };
        let own = has_itself.then(|| wrong_where(&traffic.intersection(&itself), ending, &right)).flatten();
        if others.is_empty() || own.is_some() {
            return own;
        }
        wrong_where(&others.intersection(allowed), ending, &right).or_else(|| {
            wrong_where(&others.difference(allowed), ending, &|ending| is(&Expected::Denied, ending, refusal))
        })
    }

    /// Whether a chain returns exactly what policies allow and denies the rest, all in the way it must.
    fn agree(&mut self, summary: &Rc<Summary>, allowed: &Rc<Traffic>) -> bool {
        let key = (Rc::as_ptr(summary), Rc::as_ptr(allowed), self.refusal);
        let denies = || {
            let Summary { returned: _, accepted, dropped, logged, observed } = &**summary;
            let others = match self.refusal {
                Refusal::Drop => [logged, observed],
                Refusal::Log(_) => [dropped, observed],
                Refusal::Observe(_) => [dropped, logged],
            };
            accepted.is_empty() && others.iter().all(|some| some.is_empty())
        };
        let held = || summary.returned == *allowed && denies();
        // Both stay in memory with the answer, so that no other takes their place in it.
        self.agreements.entry(key).or_insert_with(|| (Rc::clone(summary), Rc::clone(allowed), held())).2
    }
}

/// A pair of traffic that is easy to imagine: to a port, where there is such.
fn plainest(traffic: &Traffic) -> Option<(IpAddr, Service)> {
    let everyone = Rc::new(AddressSet::all(traffic.family()));
    let to_ports = Transport::ALL.into_iter().find_map(|transport| {
        let ports = ServiceSet::ports(transport, PortRange::new(1, u16::MAX));
        traffic.intersection(&Traffic::of(Rc::clone(&everyone), &ports)).witness()
    });
    to_ports.or_else(|| traffic.witness())
}

/// The part of traffic that ends where it must not.
fn wrong_where(traffic: &Traffic, ending: &Ending, right: &dyn Fn(&Ending) -> bool) -> Option<Traffic> {
    if traffic.is_empty() {
        return None;
    }
    match ending {
        Ending::Chain { summary, returned, .. } => {
            let wrong = summary.parts(returned).into_iter().filter(|(_, ending)| !right(ending));
            wrong.map(|(some, _)| traffic.intersection(some)).find(|some| !some.is_empty())
        }
        ending => (!right(ending)).then(|| traffic.clone()),
    }
}

/// Whether a plain ending is what is expected of every packet alike.
fn is(expected: &Expected, ending: &Ending, refusal: Refusal) -> bool {
    match expected {
        Expected::Anything => true,
        Expected::Allowed(Way::Past) => *ending == Ending::Through,
        Expected::Allowed(Way::Out(Exit::Return)) => *ending == Ending::Pass,
        Expected::Allowed(Way::Out(Exit::Accept)) => *ending == Ending::Accept,
        Expected::Dropped => *ending == Ending::Drop,
        Expected::Denied => match refusal {
            Refusal::Drop => *ending == Ending::Drop,
            Refusal::Log(_) => *ending == Ending::Logged,
            Refusal::Observe(_) => *ending == Ending::Observed,
        },
        Expected::Reset => *ending == Ending::Reject(RejectWith::TcpReset),
        Expected::Policies { .. } => false,
    }
}
