//! Templates by hand, and out of and into files.

use std::fs;
use std::process::Stdio;

use dream_testkit::on_every_backend;
use dream_testkit::world::TestDream;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::shell::{Shell, columns};

/// Everything about templates that a command could change.
async fn state(world: &TestDream) -> Vec<String> {
    let database = world.database();
    let mut all = Vec::new();
    for sql in [
        "SELECT 'prompt ' || template_id || ' ' || title || ' ' || CAST(usage_count AS TEXT) FROM prompt_templates \
         ORDER BY id",
        "SELECT 'param ' || template_id || ' ' || title || ' ' || coalesce(mode, '-') FROM param_templates ORDER BY id",
        "SELECT 'log ' || action || ' ' || target || ' ' || actor FROM audit_log ORDER BY id",
    ] {
        all.extend(database.texts(sql).await);
    }
    all
}

const LAKE: &[&str] =
    &["template", "create", "lake", "--title", "Lake", "--prompt", "a lake", "--category", "landscape"];

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

on_every_backend!(a_template_is_made_shown_changed_and_removed_by_hand, |backend| async move {
    let world = TestDream::start(&backend).await;
    let shell = Shell::beside(&world, &backend, false);
    let made = shell.json(&with(LAKE, &["--hot", "true", "-y", "--as", "ops-1"])).await;
    assert_eq!((made["templateId"].as_str(), made["isHot"].as_bool()), (Some("lake"), Some(true)));
    assert_eq!(made["dryRun"], false);
    let list = shell.out(&["template", "list"]).await;
    assert_eq!(columns(&list, "lake"), ["lake", "landscape", "yes", "0", "Lake"]);
    assert_eq!(shell.json(&["template", "list", "--category", "portrait"]).await["templates"], json!([]));
    let shown = shell.out(&["template", "show", "lake"]).await;
    assert_eq!(columns(&shown, "prompt"), ["prompt", "a lake"]);

    let update = ["template", "update", "lake", "--title", "湖", "--description", "for the evening", "-y"];
    shell.out(&update).await;
    let cleared = shell.json(&["template", "update", "lake", "--description", "", "-y"]).await;
    assert_eq!((cleared["title"].as_str(), cleared["description"].is_null()), (Some("湖"), true));

    let wide =
        ["template", "create", "wide", "--kind", "param", "--title", "Wide", "--aspect-ratio", "21:9", "-y"];
    shell.out(&wide).await;
    let list = shell.out(&["template", "list", "--kind", "param"]).await;
    assert_eq!(columns(&list, "wide"), ["wide", "–", "–", "21:9", "–", "Wide"]);
    let gone = shell.json(&["template", "delete", "wide", "none", "--kind", "param", "-y"]).await;
    assert_eq!(gone["deleted"], 1);
    shell.out(&["template", "delete", "lake", "-y"]).await;
    let told: Vec<String> = state(&world).await;
    assert_eq!(
        told,
        [
            "log prompt_template.create prompt_template:lake ops-1",
            "log prompt_template.update prompt_template:lake cli",
            "log prompt_template.update prompt_template:lake cli",
            "log param_template.create param_template:wide cli",
            "log param_template.delete param_template:wide cli",
            "log prompt_template.delete prompt_template:lake cli",
        ]
    );
    world.finish().await;
});

on_every_backend!(a_template_is_made_from_a_file_and_what_is_given_beside_it_wins, |backend| async move {
    let world = TestDream::start(&backend).await;
    let shell = Shell::beside(&world, &backend, false);
    let yaml = "title: Sea\nprompt: |\n  waves,\n  foam\ncategory: landscape\nisHot: yes please\n";
    fs::write(shell.path("sea.yaml"), yaml).unwrap();
    let create = ["template", "create", "sea", "--file", "sea.yaml", "-y"];
    shell.run(&create).await.failed(2, "isHot");
    fs::write(shell.path("sea.yaml"), yaml.replace("yes please", "true")).unwrap();
    let made = shell.json(&with(&create, &["--title", "Sea at night"])).await;
    assert_eq!((made["title"].as_str(), made["isHot"].as_bool()), (Some("Sea at night"), Some(true)));
    assert_eq!(made["prompt"], "waves,\nfoam\n");
    let file = json!({ "templateId": "sea", "title": "Sea" }).to_string();
    fs::write(shell.path("sea.json"), file).unwrap();
    let changed = shell.json(&["template", "update", "sea", "--file", "sea.json", "-y"]).await;
    assert_eq!(changed["title"], "Sea");
    shell.run(&["template", "update", "other", "--file", "sea.json", "-y"]).await.failed(2, "templateId");
    world.finish().await;
});

on_every_backend!(what_makes_no_sense_is_refused_with_an_exit_code_of_its_kind, |backend| async move {
    let world = TestDream::start(&backend).await;
    let shell = Shell::beside(&world, &backend, false);
    shell.out(&with(LAKE, &["-y"])).await;
    let before = state(&world).await;
    for (args, code, word) in [
        (&["template", "show", "none"][..], 3, "TEMPLATE_NOT_FOUND"),
        (&["template", "show", "lake", "--kind", "param"], 3, "--kind param"),
        (&["template", "update", "none", "--title", "x", "-y"], 3, "TEMPLATE_NOT_FOUND"),
        (&["template", "delete", "none", "-y"], 3, "TEMPLATE_NOT_FOUND"),
        (&["template", "delete"], 2, "required"),
        (&["template", "update", "lake", "-y"], 2, "nothing is given"),
        (&["template", "update", "lake", "--mode", "final", "-y"], 2, "mode"),
        (&["template", "create", "sea", "-y"], 2, "prompt"),
        (&["template", "create", "batch", "--title", "x", "-y"], 2, "templateId"),
        (&["template", "create", "a b", "--title", "x", "-y"], 2, "letters"),
        (
            &["template", "create", "p", "--kind", "param", "--title", "x", "--sample-count", "11", "-y"],
            2,
            "sampleCount",
        ),
        (&["template", "list", "--kind", "param", "--hot"], 2, "not hot"),
        (&["template", "import", "missing.json", "-y"], 1, "missing.json"),
        (LAKE, 2, "nobody is there to confirm"),
        (&["template", "delete", "lake"], 2, "nobody is there to confirm"),
    ] {
        shell.run(args).await.failed(code, word);
    }
    let taken = shell.run(&with(LAKE, &["-y"])).await.failed(4, "TEMPLATE_EXISTS");
    assert!(taken.err.contains("lake"), "{taken:?}");
    assert_eq!(state(&world).await, before);
    world.finish().await;
});

on_every_backend!(an_export_is_imported_as_the_same_in_either_format, |backend| async move {
    let world = TestDream::start(&backend).await;
    let shell = Shell::beside(&world, &backend, false);
    world.dream().plant_seeds().await.unwrap();
    shell.out(&["template", "export", "-o", "all.yaml"]).await;
    shell.out(&["template", "export", "-o", "all.json"]).await;
    let out = shell.out(&["template", "export", "--format", "yaml"]).await;
    assert_eq!(out, fs::read_to_string(shell.path("all.yaml")).unwrap());
    let json: Value = serde_json::from_str(&fs::read_to_string(shell.path("all.json")).unwrap()).unwrap();
    assert_eq!(
        (json["prompts"].as_array().map(Vec::len), json["params"].as_array().map(Vec::len)),
        (Some(10), Some(8))
    );
    assert!(json["prompts"][0].get("usageCount").is_none() && json["prompts"][0].get("id").is_none());

    let before = state(&world).await;
    for file in ["all.yaml", "all.json"] {
        let same = shell.run(&["template", "import", file, "--prune"]).await;
        assert!(same.out.contains("as the file has them"), "{same:?}");
    }
    world.database().execute("DELETE FROM prompt_templates").await;
    world.database().execute("DELETE FROM param_templates").await;
    for file in ["all.yaml", "all.json"] {
        shell.run(&["template", "import", file, "-y"]).await.done();
        let after = state(&world).await;
        assert_eq!(after[..18], before[..18], "{file}");
    }
    world.finish().await;
});

on_every_backend!(an_import_shows_how_they_differ_and_a_dry_run_changes_nothing, |backend| async move {
    let world = TestDream::start(&backend).await;
    let shell = Shell::beside(&world, &backend, false);
    for id in ["a", "b", "c"] {
        let create = [
            "template",
            "create",
            id,
            "--title",
            id,
            "--prompt",
            "a picture",
            "--category",
            "abstract",
            "-y",
        ];
        shell.out(&create).await;
    }
    let yaml = "prompts:\n  - {templateId: a, title: a, prompt: a picture, category: abstract}\n  \
                - {templateId: b, title: B, prompt: a picture, category: abstract, isHot: true}\n  \
                - {templateId: d, title: D, prompt: another, category: abstract}\n\
                params:\n  - {templateId: wide, title: Wide, aspectRatio: 21:9}\n";
    fs::write(shell.path("new.yaml"), yaml).unwrap();
    let before = state(&world).await;
    let dry = shell.run(&["template", "import", "new.yaml", "--prune", "--dry-run"]).await;
    assert!(dry.err.contains("dry run"), "{dry:?}");
    let lines: Vec<&str> = dry.out.lines().collect();
    assert_eq!(
        lines,
        [
            "+ prompt d  \"D\"",
            "~ prompt b",
            "    title: \"b\" → \"B\"",
            "    isHot: false → true",
            "- prompt c  \"c\"",
            "+ param wide  \"Wide\"",
            "",
            "2 added, 1 changed, 1 removed, 1 as they are."
        ]
    );
    let json = shell.json(&["template", "import", "new.yaml", "--dry-run"]).await;
    assert_eq!((&json["dryRun"], &json["prompts"]["added"]), (&json!(true), &json!(["d"])));
    assert_eq!((&json["prompts"]["removed"], &json["prompts"]["unchanged"]), (&json!([]), &json!(2)));
    assert_eq!(
        json["prompts"]["changed"][0]["fields"][0],
        json!({ "field": "title", "before": "b", "after": "B" })
    );
    let nobody = shell.run(&["template", "import", "new.yaml"]).await;
    assert_eq!(nobody.code, 2, "{nobody:?}");
    assert!(nobody.out.contains("+ prompt d") && nobody.err.contains("--yes"), "{nobody:?}");
    assert_eq!(state(&world).await, before);

    shell.out(&["template", "import", "new.yaml", "--prune", "-y", "--as", "ops-1"]).await;
    let after = state(&world).await;
    assert_eq!(after[..4], ["prompt a a 0", "prompt b B 0", "prompt d D 0", "param wide Wide -"]);
    assert_eq!(after.iter().filter(|line| line.ends_with(" ops-1")).count(), 4);
    world.finish().await;
});

on_every_backend!(
    a_file_that_breaks_the_rules_changes_nothing_and_every_fault_is_named,
    |backend| async move {
        let world = TestDream::start(&backend).await;
        let shell = Shell::beside(&world, &backend, false);
        let one = |id: &str| json!({ "templateId": id, "title": "T", "prompt": "p", "category": "c" });
        let mut wrong = one("b");
        wrong["isHot"] = "false".into();
        wrong["title"] = "t".repeat(101).into();
        let file = json!({ "prompts": [one("a"), wrong], "params": [{ "templateId": "x" }], "others": [] });
        fs::write(shell.path("wrong.json"), file.to_string()).unwrap();
        let ran = shell.run(&["template", "import", "wrong.json", "-y"]).await.failed(2, "prompts[1].isHot");
        for place in ["prompts[1].title", "params[0].title", "others"] {
            assert!(ran.err.contains(place), "{ran:?}");
        }
        fs::write(shell.path("twice.json"), json!({ "prompts": [one("a"), one("a")] }).to_string()).unwrap();
        shell.run(&["template", "import", "twice.json", "-y"]).await.failed(2, "prompts[1].templateId");
        for (name, text, word) in [
            ("broken.json", "{", "no JSON"),
            ("broken.yaml", "prompts: [", "no YAML"),
            ("list.yaml", "- 1\n", "object"),
            (
                "bomb.yaml",
                "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
          d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
          g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\ni: [*h,*h,*h,*h,*h,*h,*h,*h,*h]\n",
                "",
            ),
        ] {
            fs::write(shell.path(name), text).unwrap();
            shell.run(&["template", "import", name, "-y"]).await.failed(2, word);
        }
        assert!(state(&world).await.is_empty());

        // From standard input as well, where the format has to be said unless it is JSON.
        let mut command = shell.prepare(&["template", "import", "-", "--format", "yaml", "-y"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"params: [{templateId: x, title: X}]\n").await.unwrap();
        drop(stdin);
        assert!(child.wait_with_output().await.unwrap().status.success());
        assert_eq!(state(&world).await[0], "param x X -");
        world.finish().await;
    }
);
