//! How many bytes each program reads of a file that another user may write. Each number is several times what a large
//! node needs, and small enough that the worst folder fits into the memory limit of the units (1 GiB).

/// One MiB, in bytes.
const MIB: u64 = 1024 * 1024;

/// `manifest.json`. A kernel holds at most 65,472 sets, and each takes some 110 bytes.
pub const MANIFEST_BYTES: u64 = 16 * MIB;
/// `rules.v4` and `rules.v6`, each. 32 MiB are some 200,000 rules.
pub const RULES_BYTES: u64 = 32 * MIB;
/// `ipsets`, and each file in `sets/`. 64 MiB are some 1,700,000 members.
pub const IPSETS_BYTES: u64 = 64 * MIB;
/// `nodes/NODE/sets`: 65,472 names.
pub const SET_LIST_BYTES: u64 = 4 * MIB;
/// `provenance.json`. Parsed it takes some seven times its length.
pub const PROVENANCE_BYTES: u64 = 32 * MIB;
/// All files of one node's snapshot together, `provenance.json` too.
pub const SNAPSHOT_BYTES: u64 = 128 * MIB;
/// `desired`, `confirmed`, `refused`, and other files of a few words.
pub const WORDS_BYTES: u64 = 4096;
/// `orders.json` and `setback.json`.
pub const ORDERS_BYTES: u64 = 65_536;
/// All snapshots together that a node keeps to go back to. The last good one is kept whatever its size.
pub const KEPT_BYTES: u64 = 512 * MIB;
/// A status file of either half, as the other half reads it.
pub const STATUS_BYTES: u64 = MIB;
/// A configuration file, a list of signers, a password.
pub const CONFIG_BYTES: u64 = MIB;
/// A file of an inventory's folder, and what is kept of it. 1 GiB are some 100,000 pods as `kubectl get -o json` prints them.
/// It is read as a stream.
pub const INVENTORY_FILE_BYTES: u64 = 1024 * MIB;
/// All files of an inventory's folder together.
pub const INVENTORY_BYTES: u64 = 2048 * MIB;
/// Any other file of a state folder. The largest is the journal, with the rules of both families.
pub const STATE_BYTES: u64 = 128 * MIB;
