use super::*;
use tempfile::TempDir;

/// A profile of these hosts: name, address, protocol.
fn text(hosts: &[(&str, &str, &str)]) -> String {
    let entry = |(name, address, protocol): &(&str, &str, &str)| {
        format!(
            "<HostEntry><HostName>{name}</HostName><HostAddress>{address}</HostAddress>\
             <PrimaryProtocol>{protocol}</PrimaryProtocol></HostEntry>"
        )
    };
    let entries: String = hosts.iter().map(entry).collect();
    format!(
        "<AnyConnectProfile xmlns=\"http://schemas.xmlsoap.org/encoding/\"><ServerList>{entries}</ServerList>\
         </AnyConnectProfile>"
    )
}

/// Two folders, `own` and `vendor`, with these files.
fn folders(files: &[(&str, String)]) -> (TempDir, Vec<PathBuf>) {
    let root = tempfile::tempdir().unwrap();
    let folders = ["own", "vendor"].map(|name| root.path().join(name));
    for folder in &folders {
        fs::create_dir(folder).unwrap();
    }
    for (name, text) in files {
        fs::write(root.path().join(name), text).unwrap();
    }
    (root, folders.to_vec())
}

fn ipsec(hosts: &[(&str, &str)]) -> String {
    text(&hosts.iter().map(|(name, address)| (*name, *address, "IPsec")).collect::<Vec<_>>())
}

/// Name, address and file of each.
fn shown(entries: &[Entry<'_>]) -> Vec<String> {
    let one = |entry: &Entry<'_>| {
        let file = entry.file.file_stem().unwrap().to_string_lossy().into_owned();
        format!("{} {} {file}", entry.host.name, entry.host.address)
    };
    entries.iter().map(one).collect()
}

#[test]
fn a_broken_file_hides_no_other_and_a_file_with_two_names_is_there_once() {
    let (root, mut folders) = folders(&[
        ("own/a.xml", "<AnyConnectProfile>".to_owned()),
        ("own/b.xml", ipsec(&[("Berlin", "b.example.com")])),
        ("vendor/c.xml", ipsec(&[("Wien", "w.example.com")])),
    ]);
    std::os::unix::fs::symlink("nowhere", root.path().join("own/d.xml")).unwrap();
    std::os::unix::fs::symlink(&folders[1], root.path().join("older")).unwrap();
    folders.push(root.path().join("older"));
    folders.push(root.path().join("none"));
    folders.push(root.path().join("own/b.xml"));
    let profiles = in_folders(&folders);
    assert_eq!(shown(profiles.gateways().entries()), ["Berlin b.example.com b", "Wien w.example.com c"]);
    let errors: Vec<String> = profiles.errors().map(ToString::to_string).collect();
    assert!(errors[0].contains("a.xml:1:20") && errors[0].contains("; mend the file there"), "{errors:?}");
    assert!(errors[1].starts_with("cannot read the profile ") && errors[1].contains("d.xml: No such file"));
    assert!(
        profiles.errors().nth(1).unwrap().is_missing() && !profiles.errors().next().unwrap().is_missing()
    );
    assert_eq!(errors.len(), 2, "{errors:?}");
    let unlisted: Vec<&PathBuf> = profiles.unlisted.iter().map(|(folder, _)| folder).collect();
    assert_eq!(unlisted, [&folders[4]], "a folder that is none");
}

#[test]
fn a_file_that_is_too_large_is_damaged() {
    let (root, _) = folders(&[("own/a.xml", " ".repeat(MAX_SIZE + 1))]);
    let error = read(&root.path().join("own/a.xml")).unwrap_err();
    assert!(matches!(&error, FileError::Damaged { .. }), "{error}");
}

#[test]
fn copies_are_one_gateway_and_a_shared_name_is_several() {
    let (_root, folders) = folders(&[
        ("own/a.xml", ipsec(&[("Berlin", "b.example.com"), ("Wien", "w.example.com")])),
        ("own/b.xml", ipsec(&[("berlin", "B.example.com.")])),
        ("vendor/c.xml", ipsec(&[("WIEN", "w2.example.com"), ("Bern", "bern.example.com")])),
    ]);
    let profiles = in_folders(&folders);
    let all = profiles.gateways();
    assert_eq!(shown(all.called("BERLIN")), ["Berlin b.example.com a"]);
    assert_eq!(shown(all.called("wien")), ["Wien w.example.com a", "WIEN w2.example.com c"]);
    assert_eq!(shown(all.called("w.example.com")), [""; 0]);
    assert_eq!(shown(all.at("W2.example.com").as_slice()), ["WIEN w2.example.com c"]);
    let typed: Vec<(&str, &str)> = all.choices().iter().map(|one| (one.typed, one.also)).collect();
    assert_eq!(
        typed,
        [
            ("Berlin", "b.example.com"),
            ("w.example.com", "Wien"),
            ("w2.example.com", "WIEN"),
            ("Bern", "bern.example.com")
        ]
    );
    let shadowed: Vec<bool> = all.entries().iter().map(|entry| all.before(entry).is_some()).collect();
    assert_eq!(shadowed, [false, false, true, false, false], "the copy in b.xml");
}

#[test]
fn what_another_client_is_for_does_not_make_a_name_ambiguous() {
    let (_root, folders) = folders(&[
        ("own/a.xml", text(&[("Work", "tls.example.com", "SSL"), ("Old", "o.example.com", "SSL")])),
        ("vendor/b.xml", text(&[("Work", "ike.example.com", "IPsec"), ("Work", "tls.example.com", "IPsec")])),
        ("vendor/c.xml", text(&[("Old", "o2.example.com", "SSL")])),
    ]);
    let profiles = in_folders(&folders);
    let all = profiles.gateways();
    assert_eq!(shown(all.called("Work")), ["Work ike.example.com b", "Work tls.example.com b"]);
    assert_eq!(shown(all.called("Old")).len(), 2, "there is no other");
    assert_eq!(shown(all.at("tls.example.com").as_slice()), ["Work tls.example.com b"]);
    assert_eq!(all.choices().len(), 2);
}
