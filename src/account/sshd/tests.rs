//! sshd_config, compared with `sshd -T`.

use super::*;
use crate::sys::dir::Owner;

fn ann() -> Account {
    Account { name: "ann".into(), owner: Owner { uid: 1000, gid: 1000 }, home: "/home/ann".into() }
}

fn read(files: &[(&str, &str)]) -> Config {
    let root = std::env::temp_dir().join(format!("wisp-sshd-{}-{:?}", std::process::id(), std::thread::current().id()));
    let _ = std::fs::remove_dir_all(&root);
    for (name, text) in files {
        let path = root.join("etc/ssh").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let config = Config::read(root.to_str().unwrap());
    let _ = std::fs::remove_dir_all(&root);
    config
}

fn patterns(files: &[(&str, &str)]) -> Vec<String> {
    read(files).keys_files(&ann(), b"root:x:0:\nstaff:x:50:bob,ann\nann:x:1000:\n").patterns
}

#[test]
fn patterns_are_expanded_as_sshd_does() {
    assert_eq!(patterns(&[]), [USUAL]);
    for (pattern, path) in [
        (".ssh/authorized_keys", Some("/home/ann/.ssh/authorized_keys")),
        ("%h/.ssh/mine", Some("/home/ann/.ssh/mine")),
        ("/etc/ssh/keys/%u", Some("/etc/ssh/keys/ann")),
        ("/etc/my keys/%U-%%u", Some("/etc/my keys/1000-%u")),
        ("none/x", Some("/home/ann/none/x")),
        ("../%u", None),
        ("/etc/../x", None),
        ("%h/", None),
        ("a/../../b", None),
        ("/etc/%k", None),
        ("/etc/%", None),
        ("", None),
        ("~/x", None),
    ] {
        assert_eq!(expand(pattern, &ann()).as_deref(), path, "{pattern}");
    }
    for (pattern, is_own) in [("/etc/keys", false), ("/etc/%%u", false), ("/etc/%u", true), ("x", true), ("%h/x", true)]
    {
        assert_eq!(names_account(pattern), is_own, "{pattern}");
    }
}

#[test]
fn values_are_words_in_quotes_or_not() {
    for (value, wanted) in [
        ("a  b\tc # d", &["a", "b", "c"][..]),
        ("\"a b\" 'c d'e f\\ g", &["a b", "c de", "f g"]),
        ("a\\\"b \"c\\\\\" a#b", &["a\"b", "c\\", "a#b"]),
        ("\"open", &[]),
        ("", &[]),
    ] {
        assert_eq!(words(value), wanted, "{value}");
    }
}

#[test]
fn the_first_value_counts_and_before_it_the_first_match_that_fits() {
    let main = "# AuthorizedKeysFile no\n\nInclude /etc/ssh/sshd_config.d/*.conf\nauthorizedkeysfile=main\n\
                HostKey /etc/ssh/ssh_host_rsa_key # old\nMatch User bob\nAuthorizedKeysFile bobs\nHostKey no\n";
    assert_eq!(patterns(&[("sshd_config", main)]), ["main"]);
    assert_eq!(read(&[("sshd_config", main)]).host_keys, ["/etc/ssh/ssh_host_rsa_key"]);
    let files = [
        ("sshd_config", main),
        ("sshd_config.d/20-b.conf", "AuthorizedKeysFile second\nHostKey b\n"),
        ("sshd_config.d/10-a.conf", "Match User bob\nAuthorizedKeysFile never\n"),
        ("sshd_config.d/10-b.conf", "\tAuthorizedKeysFile\tfirst none\r\nHostKey a\n"),
        ("sshd_config.d/.hidden.conf", "AuthorizedKeysFile hidden\n"),
        ("sshd_config.d/00-a.conf~", "AuthorizedKeysFile backup\n"),
    ];
    assert_eq!(patterns(&files), ["first"]);
    assert_eq!(read(&files).host_keys, ["a", "b", "/etc/ssh/ssh_host_rsa_key"]);
    for (line, is_chosen) in [
        ("User ann", true),
        ("user bob,a?n", true),
        ("User \"ann\"", true),
        ("User=ann", true),
        ("User *,!ann", false),
        ("User Ann", false),
        ("Group staff", true),
        ("Group ann", true),
        ("Group staff,!ann", false),
        ("Group wheel", false),
        ("User ann Group staff", true),
        ("User ann Group wheel", false),
        ("all", true),
        ("invalid-user", false),
        ("Address 10.0.0.0/8", false),
    ] {
        let text = ["AuthorizedKeysFile main\nMatch ", line, "\nAuthorizedKeysFile matched\n"].concat();
        assert_eq!(patterns(&[("sshd_config", &text)]), [if is_chosen { "matched" } else { "main" }], "{line}");
    }
}

#[test]
fn a_match_about_the_connection_is_named_if_it_may_choose_another_file() {
    let elsewhere = |text: &str| read(&[("sshd_config", text)]).keys_files(&ann(), b"").elsewhere;
    let text = |user: &str| ["Match User ", user, " Address 10.0.0.0/8\nAuthorizedKeysFile x\n"].concat();
    assert_eq!(elsewhere(&text("ann")).as_deref(), Some("User ann Address 10.0.0.0/8"));
    assert_eq!(elsewhere(&text("bob")), None);
    assert_eq!(elsewhere("Match LocalPort 22\nAuthorizedKeysFile .ssh/authorized_keys\n"), None, "it is the same");
}

#[test]
fn what_a_match_includes_is_under_it() {
    let main = "Match User bob\nInclude x\nMatch all\nInclude y\n";
    let both = ("x", "AuthorizedKeysFile x\nMatch User ann\nAuthorizedKeysFile never\n");
    assert_eq!(patterns(&[("sshd_config", main), both]), [USUAL]);
    assert_eq!(patterns(&[("sshd_config", main), both, ("y", "AuthorizedKeysFile y\n")]), ["y"]);
}

#[test]
fn files_that_include_themselves_end() {
    let config = read(&[("sshd_config", "Include sshd_config\nInclude *\nHostKey a\n"), ("x", "Include *\n")]);
    assert!(config.files <= READ_LIMIT && config.host_keys.len() <= READ_LIMIT);
}

#[test]
fn patterns_fit_as_in_a_shell() {
    for (name, pattern) in [
        ("a.conf", "*.conf"),
        ("a.conf", "a*f"),
        ("abcabd", "*abd"),
        ("a", "a"),
        (".a", ".*"),
        ("", "**"),
        ("abc", "?b?"),
        ("10-a", "[0-9][!a-z]-*"),
        ("a[", "a["),
        ("]", "[]]"),
        ("xaybzc", "*a*b*c"),
    ] {
        assert!(is_match(name, pattern), "{name} {pattern}");
    }
    for (name, pattern) in [
        ("a.conf~", "*.conf"),
        ("ab", "a"),
        ("a", "a*a"),
        ("abcab", "*abd"),
        ("ab", "?"),
        ("", "?"),
        ("aa-x", "[0-9]*"),
        ("xaybz", "*a*b*c"),
    ] {
        assert!(!is_match(name, pattern), "{name} {pattern}");
    }
}

/// Configurations for the comparison.
const CONFIGS: &[&str] = &[
    "",
    "AuthorizedKeysFile a b\nAuthorizedKeysFile c\n",
    "authorizedkeysfile=a\n",
    "AuthorizedKeysFile = a b\n",
    "AuthorizedKeysFile\t\"a b\" 'c d' e\\ f g\\\"h # i\n",
    "AuthorizedKeysFile /etc/%u %%h/%h %U # x\n",
    "  AuthorizedKeysFile a   \r\n#AuthorizedKeysFile b\n",
    "AuthorizedKeysFile none\n",
    "AuthorizedKeysFile a#b \"c#d\" #e\n",
    "Match User USER\nAuthorizedKeysFile m\n",
    "AuthorizedKeysFile a\nMatch User USER\nAuthorizedKeysFile m n\nMatch all\nAuthorizedKeysFile o\n",
    "Match User USER\nAuthorizedKeysFile none\n",
    "Match User other,USE?,x\nAuthorizedKeysFile m\n",
    "Match User *,!USER\nAuthorizedKeysFile m\n",
    "Match User !USER,*\nAuthorizedKeysFile m\n",
    "Match User \"USER\"\nAuthorizedKeysFile m\n",
    "Match user USER group GROUP\nAuthorizedKeysFile m\n",
    "Match user USER group nosuchgroup\nAuthorizedKeysFile m\n",
    "Match Group GROUP\nAuthorizedKeysFile m\n",
    "Match Group *,!GROUP\nAuthorizedKeysFile m\n",
    "Match Group nosuchgroup\nAuthorizedKeysFile m\nMatch User *\nAuthorizedKeysFile n\n",
    "Match Address 10.0.0.0/8\nAuthorizedKeysFile m\n",
    "Match Address 10.0.0.0/8 User USER\nAuthorizedKeysFile m\nMatch User USER\nAuthorizedKeysFile n\n",
    "Match all\nAuthorizedKeysFile m\n",
    "Match LocalPort 2222\nAuthorizedKeysFile m\n",
    "Include DIR/*.conf\nAuthorizedKeysFile a\n",
    "Include DIR/nothing DIR/[0-9]?-*.conf\n",
    "Match User other\nInclude DIR/*.conf\n",
    "Match User USER\nInclude DIR/*.conf\n",
    "Match User USER\nInclude DIR/20-match.conf\nAuthorizedKeysFile a\n",
    "Include DIR/20-match.conf\nAuthorizedKeysFile a\n",
    "Include \"DIR/20-match.conf\" DIR/10-plain.conf\n",
    "Include DIR/nested/*/x.conf\n",
];

#[test]
fn every_value_is_the_one_that_sshd_has() {
    let root = std::env::temp_dir().join(format!("wisp-sshd-judge-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    let root_path = root.to_str().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("etc/ssh/inc/10-plain.conf", "AuthorizedKeysFile plain\n");
    write(
        "etc/ssh/inc/20-match.conf",
        "Match User USER\nAuthorizedKeysFile included\n".replace("USER", "daemon").as_str(),
    );
    write("etc/ssh/inc/.hidden.conf", "AuthorizedKeysFile hidden\n");
    write("etc/ssh/inc/nested/a/x.conf", "AuthorizedKeysFile nested\n");
    let run = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).env("LC_ALL", "C").output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let key = format!("{root_path}/host");
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &key]);
    let (passwd, group) = (std::fs::read("/etc/passwd").unwrap(), std::fs::read("/etc/group").unwrap());
    for text in CONFIGS {
        for (user, own) in [("root", "root"), ("daemon", "daemon"), ("bin", "bin")] {
            let account = crate::account::parse(&passwd, user).unwrap().unwrap();
            let text = text
                .replace("USER", user)
                .replace("USE?", &[&user[..user.len() - 1], "?"].concat())
                .replace("GROUP", own);
            write("etc/ssh/sshd_config", &text.replace("DIR", "/etc/ssh/inc"));
            write(
                "config",
                &["HostKey ", &key, "\n", &text.replace("DIR", &[root_path, "/etc/ssh/inc"].concat())].concat(),
            );
            let connection = ["user=", user, ",host=h,addr=192.0.2.1,laddr=192.0.2.2,lport=22"].concat();
            let said = run("/usr/sbin/sshd", &["-T", "-C", &connection, "-f", &[root_path, "/config"].concat()]);
            let said = said.lines().find_map(|line| line.strip_prefix("authorizedkeysfile ")).unwrap_or("none");
            let found = Config::read(root_path).keys_files(&account, &group).patterns.join(" ");
            let wanted = if said == ".ssh/authorized_keys .ssh/authorized_keys2" { USUAL } else { said };
            assert_eq!(if found.is_empty() { "none" } else { &*found }, wanted, "{user}: {text}");
        }
    }
    std::fs::remove_dir_all(root).unwrap();
}
