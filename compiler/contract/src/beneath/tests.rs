#![allow(clippy::disallowed_methods, reason = "tests make files")]

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::{FileType, mknodat};

use super::*;

/// A folder with one of each kind beside a secret that lies outside of it.
fn folder() -> (tempfile::TempDir, Folder) {
    let root = tempfile::tempdir().unwrap();
    let inner = root.path().join("inner");
    std::fs::create_dir_all(inner.join("sub")).unwrap();
    std::fs::write(root.path().join("secret"), "SECRET\n").unwrap();
    std::fs::write(inner.join("plain"), "ten bytes\n").unwrap();
    std::fs::write(inner.join("sub/plain"), "below\n").unwrap();
    std::fs::write(inner.join("latin"), b"caf\xe9\n").unwrap();
    let sparse = File::create(inner.join("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    mknodat(CWD, inner.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    drop(UnixListener::bind(inner.join("socket")).unwrap());
    symlink("../secret", inner.join("link")).unwrap();
    symlink("plain", inner.join("inner-link")).unwrap();
    symlink("/dev/zero", inner.join("zero")).unwrap();
    symlink("..", inner.join("up")).unwrap();
    symlink("nothing", inner.join("dangling")).unwrap();
    let folder = Folder::open(&inner).unwrap();
    (root, folder)
}

#[test]
fn only_regular_files_beneath_the_folder_are_read() {
    let (_root, folder) = folder();
    let text = |name: &str| folder.text(name, 100, &mut Budget::bytes(1000));
    assert_eq!(text("plain").unwrap().as_deref(), Some("ten bytes\n"));
    assert_eq!(text("sub/plain").unwrap().as_deref(), Some("below\n"));
    assert_eq!(text("missing").unwrap(), None);
    let rows = [
        ("fifo", "is a FIFO"),
        ("socket", "is a socket"),
        ("sub", "is a folder"),
        ("link", "is a symbolic link"),
        ("inner-link", "is a symbolic link"),
        ("dangling", "is a symbolic link"),
        ("zero", "is a symbolic link"),
        ("up/secret", "leads through a symbolic link"),
        ("../secret", "out of its folder"),
        ("sub/../../secret", "out of its folder"),
        ("/etc/passwd", "out of its folder"),
        ("sparse", "is longer than 100 bytes"),
        ("latin", "no UTF-8 text, from byte 3 on"),
    ];
    for (name, expected) in rows {
        let error = text(name).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{name}: {error}");
        assert!(!error.contains("SECRET"), "{name}: {error}");
    }
    let error = read_chosen(Path::new("/dev/zero"), 100).unwrap_err().to_string();
    assert_eq!(error, "/dev/zero is a device, and only regular files are read");
}

#[test]
fn folders_are_opened_beneath_too() {
    let (root, folder) = folder();
    let sub = folder.folder("sub").unwrap();
    assert_eq!(sub.text("plain", 100, &mut Budget::bytes(100)).unwrap().as_deref(), Some("below\n"));
    for (name, kind) in [("up", "a symbolic link"), ("plain", "a regular file"), ("fifo", "a FIFO")] {
        let error = folder.folder(name).unwrap_err().to_string();
        assert!(error.contains(kind), "{name}: {error}");
    }
    assert!(folder.folder("missing").unwrap_err().is_missing());
    // What the operator chose may lead through links.
    let by_link = root.path().join("inner/up/inner/plain");
    assert_eq!(read_text(&by_link, 100).unwrap().as_deref(), Some("ten bytes\n"));
    assert_eq!(read_chosen(&root.path().join("inner/link"), 100).unwrap().as_deref(), Some("SECRET\n"));
    assert_eq!(read_text(&root.path().join("none/plain"), 100).unwrap(), None);
}

/// The way of old kernels gives the same answers.
#[test]
fn a_path_can_be_walked_by_its_components() {
    let (_root, folder) = folder();
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    for name in ["plain", "sub/plain", "fifo", "sub"] {
        assert!(open_each(folder.handle.as_fd(), name, flags).is_ok(), "{name}");
    }
    let rows = [
        ("link", Errno::LOOP),
        ("up/secret", Errno::LOOP),
        ("../secret", Errno::XDEV),
        ("/etc/passwd", Errno::XDEV),
        ("missing", Errno::NOENT),
        ("plain/below", Errno::NOTDIR),
    ];
    for (name, expected) in rows {
        assert_eq!(open_each(folder.handle.as_fd(), name, flags).err(), Some(expected), "{name}");
        #[cfg(target_os = "linux")]
        assert_eq!(open_beneath(folder.handle.as_fd(), name, flags).err(), Some(expected), "{name}");
    }
}

#[test]
fn a_file_and_all_files_have_a_limit() {
    let (_root, folder) = folder();
    let mut budget = Budget::bytes(25);
    assert!(folder.text("plain", 9, &mut budget).unwrap_err().to_string().contains("longer than 9 bytes"));
    for _ in 0..2 {
        assert_eq!(folder.text("plain", 10, &mut budget).unwrap().map(|text| text.len()), Some(10));
    }
    let error = folder.text("plain", 10, &mut budget).unwrap_err();
    assert!(matches!(error, BeneathError::TooMuch { most: 25, .. }), "{error}");
}
