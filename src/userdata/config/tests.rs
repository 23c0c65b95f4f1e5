//! Every key: what is taken, what is not, and that no error shows a value.

use super::*;
use crate::error::Kind;
use alloc::string::ToString as _;

fn config(text: &str) -> Config {
    Config::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_damaged_document_is_one_error_with_its_line_and_not_its_text() {
    let error = Config::parse(b"#alpine-config\nuser: a\npassword: [secret\nother: b\n").unwrap_err();
    let told = error.to_string();
    assert!(told.starts_with("understand the user-data: line ") && !told.contains("secret"), "{told}");
    let error = Config::parse(b"#alpine-config\n- secret\n").unwrap_err();
    assert_eq!(error.to_string(), "understand the user-data: it is no mapping of keys to values");
    assert!(config("#alpine-config\n").account("").unwrap().is_none());
}

#[test]
fn an_account_is_a_name_or_a_mapping() {
    assert_eq!(config("user: ann").account("").unwrap().unwrap().name, "ann");
    assert_eq!(config("users: []").account("").unwrap(), None);
    let nameless = config("user:\n  gecos: Foo B. Baz\n  groups: [audio]\n");
    assert_eq!(nameless.user(), Ok(None));
    let account = nameless.account("alpine").unwrap().unwrap();
    assert_eq!((account.name, account.gecos, account.groups), ("alpine", Some("Foo B. Baz"), vec!["audio"]));
    let text = "user:\n  name: ann\n  homedir: /srv/ann\n  shell: /bin/ash\n  primary_group: staff\n  gecos: Ann B\n";
    for (groups, wanted) in [
        ("groups: [wheel, docker]", "wheel docker"),
        ("groups: wheel, docker", "wheel docker"),
        ("groups: wheel", "wheel"),
        ("", ""),
    ] {
        let config = config(&format!("{text}  {groups}\n"));
        let account = config.account("").unwrap().unwrap();
        assert_eq!(account.groups.join(" "), wanted);
        let Account { name, home, shell, primary_group, gecos, groups: _ } = account;
        assert_eq!((name, home, shell), ("ann", Some("/srv/ann"), Some("/bin/ash")));
        assert_eq!((primary_group, gecos), (Some("staff"), Some("Ann B")));
    }
    for (text, told) in [
        ("user: {name: [x]}", "heed the user-data's user: name is no text"),
        ("user: [x]", "heed the user-data's user: it is neither a name nor a mapping"),
        ("user: ../x", "heed the user-data's user: it is not a name for a user"),
        ("user: {name: 'a:b'}", "heed the user-data's user: it is not a name for a user"),
    ] {
        assert_eq!(config(text).account("").unwrap_err().to_string(), told);
    }
    let config = config("user: {name: ann, gecos: [x]}");
    assert_eq!(config.account("").unwrap_err().to_string(), "heed the user-data's user: gecos is no text");
    assert_eq!(config.user().unwrap(), Some("ann"), "what is wrong with the rest takes nobody's name");
}

#[test]
fn keys_are_a_list_or_lines() {
    let keys = |text: &str| config(text).authorized_keys().join("|");
    assert_eq!(keys("ssh_authorized_keys: [' a b ', '', ~, c, {d: e}]"), "a b|c");
    assert_eq!(keys("ssh_authorized_keys: |\n  a\n\n  b\n"), "a|b");
    assert_eq!(keys("ssh_authorized_keys: {a: b}"), "");
    assert_eq!(keys(""), "");
}

#[test]
fn commands_are_lines_or_lists() {
    let text = "runcmd:\n- \"echo 'a: b'\"\n- [echo, 'a b', 7]\n-\n- ''\n- []\n- a: b\n- [x, [y]]\n- 'true'\n";
    let config = config(text);
    let commands = config.commands("runcmd").unwrap();
    let sound: Vec<_> =
        commands.iter().filter_map(|(index, command)| Some((*index, command.as_ref().ok()?.clone()))).collect();
    let line = |text| Command::Line(text);
    assert_eq!(
        sound,
        [(0, line("echo 'a: b'")), (1, Command::Program("echo", ["a b", "7"].into())), (7, line("true"))]
    );
    let errors: Vec<_> = commands.iter().filter_map(|(_, command)| command.as_ref().err()).collect();
    assert!(errors[0].to_string().starts_with("heed the user-data's runcmd[5]: it is neither a text"));
    assert_eq!(errors[1].to_string(), "heed the user-data's runcmd[6]: a word of it is no text");
    assert!(config.commands("bootcmd").unwrap().is_empty());
    for text in ["runcmd: echo secret", "runcmd: {a: b}"] {
        let error = super::Config::parse(text.as_bytes()).unwrap().commands("runcmd").unwrap_err();
        assert_eq!((error.kind, error.to_string()), (Kind::Usage, "heed the user-data's runcmd: it is no list".into()));
    }
}

#[test]
fn switches_are_exactly_what_they_are() {
    for (value, wanted) in
        [("true", true), ("'true'", true), ("True", false), ("yes", false), ("", false), ("1", false)]
    {
        assert_eq!(config(&format!("package_update: {value}")).is_true("package_update"), wanted, "{value}");
    }
    let ntp = |text: &str| config(text).ntp_client().map(String::from);
    assert_eq!(ntp("ntp: {enabled: yes}").as_deref(), Some(""));
    assert_eq!(ntp("ntp: {enabled: true, ntp_client: busybox}").as_deref(), Some("busybox"));
    for text in ["", "ntp: yes", "ntp: {enabled: no}", "ntp: {enabled: Yes}", "ntp: {ntp_client: chrony}"] {
        assert_eq!(ntp(text), None, "{text}");
    }
}

#[test]
fn apk_says_where_from() {
    assert_eq!(config("apk: {cache: /var/cache/apk}").apk_cache().unwrap(), Some("/var/cache/apk"));
    assert_eq!(config("apk: {}").apk_cache().unwrap(), None);
    assert_eq!(config("apk: {cache: /a/../../b}").apk_cache().unwrap_err().to.as_str(), "apk.cache");
    assert_eq!(config("apk: {cache: [a]}").apk_cache().unwrap_err().to.as_str(), "apk.cache");
    for text in ["", "apk:", "apk: {}", "apk: text"] {
        assert!(config(text).repositories().unwrap().is_none(), "{text}");
    }
    assert!(config("apk: {cache: x}").repositories().unwrap().unwrap().is_empty());
    let config = config(
        "apk: {repositories: [{base_url: 'http://a/', repos: [main, b], version: 3.16}, {repos: [m]}, {base_url: x}, \
                {base_url: \"x\\ny\", repos: [m]}]}",
    );
    let entries = config.repositories().unwrap().unwrap();
    let wanted = Repository { base_url: "http://a/", version: Some("3.16"), repos: ["main", "b"].into() };
    assert_eq!(entries[0].as_ref().unwrap(), &wanted);
    for (entry, told) in
        entries[1..].iter().zip(["it has no base_url", "it has no repos", "there is white space in it"])
    {
        assert_eq!(entry.as_ref().unwrap_err().why, told);
    }
    assert_eq!(entries[3].as_ref().unwrap_err().to.as_str(), "apk.repositories[3]");
}

#[test]
fn packages_are_words() {
    assert_eq!(config("packages: [a, 'b  c=1', ~]").packages().unwrap(), ["a", "b", "c=1"]);
    assert_eq!(config("packages: []").packages().unwrap().len(), 0);
    assert_eq!(config("packages: [a, [b, 1]]").packages().unwrap_err().to.as_str(), "packages[1]");
    assert_eq!(config("packages: a").packages().unwrap_err().to.as_str(), "packages");
}

#[test]
fn an_unknown_key_is_called_by_its_name_unless_it_may_be_a_value() {
    let text = "user: a\nusers: []\nssh_pwauth: no\ndb_password=hunter2:\nHunter2: x\n? 'a b'\n: y\npackages: []\n";
    let long = "x".repeat(41);
    let config = Config::parse([text, &long, ": z\n"].concat().as_bytes()).unwrap();
    let names: Vec<String> = config.unknown().collect();
    assert_eq!(names, ["users", "ssh_pwauth", "key number 4", "key number 5", "key number 6", "key number 8"]);
}
