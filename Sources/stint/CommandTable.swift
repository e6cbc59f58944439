// Owns: the one list of commands, and the flags that several of them share. Parsing, help and completion read it.
// It must not know how any command works.

/// All commands, in the order in which help shows them.
enum CommandTable {
  static let all: [Command] =
    clusterCommands + jobCommands + manifestCommands + editCommands + objectCommands + accessCommands + otherCommands

  /// Flags of every command.
  static let help = Flag("help", "h", "Show what the command does, its flags and examples")

  /// Flags of every command that talks to a coordinator.
  static let connection: [Flag] = [
    Flag(
      "server", "s", .text("HOST:PORT"), initial: "$STINT_SERVER, else the kubeconfig's",
      "Address of the coordinator"),
    Flag(
      "kubeconfig", .file, initial: "$KUBECONFIG, ~/.kube/config or that of `stint up`",
      "File with the cluster's address and who you are there"),
    Flag("context", .text("NAME"), initial: "the kubeconfig's current one", "Context of the kubeconfig"),
    help,
  ]

  static let namespace = Flag(
    "namespace", "n", .text("NAMESPACE"), initial: "the context's, else default", "Namespace to act in")
  static let allNamespaces = Flag("all-namespaces", "A", "Act in all namespaces")
  static let selector = Flag(
    "selector", "l", .text("SELECTOR"), "Only objects whose labels match, such as app=quiz,tier!=db")
  static let fieldSelector = Flag(
    "field-selector", .text("SELECTOR"), "Only objects whose fields match, such as status.phase=Running")
  static let timeout = Flag(
    "timeout", .duration(Bounds.patience), initial: "no limit", "How long to wait before giving up")
  static let files = Flag(
    "filename", "f", .file, repeats: true, "Manifest: a file, a directory, or - for standard input; may be repeated")
  static let dryRun = Flag(
    "dry-run", .choice(["none", "client", "server"]), initial: "none",
    "client: print what would be sent; server: have the coordinator check it and keep nothing")
  static let manifestOutput = Flag(
    "output", "o", .choice(["name", "yaml", "json"]), "Print the objects instead of a line on each")

  /// Timing of a cluster; its coordinator tells the agents.
  static let timing: [Flag] = [
    Flag(
      "heartbeat-interval", .duration(100...3_600_000), initial: "1s", "How often agents report to the coordinator"),
    Flag(
      "lease-duration", .duration(200...30 * Bounds.day), initial: "5s",
      "How long a node may run its pods without word from the coordinator"),
    Flag(
      "default-unreachable-toleration", .duration(0...365 * Bounds.day), initial: "10s",
      "How much longer a pod that says nothing itself stays on a node that is out of reach"),
  ]
}

extension Flag {
  /// A flag without a value.
  init(_ name: String, initial: String? = nil, _ help: String) {
    self.init(name, nil, .toggle, initial: initial, help)
  }

  /// A flag without a value, with a short form.
  init(_ name: String, _ short: Character, _ help: String) {
    self.init(name, short, .toggle, help)
  }

  /// A flag without a short form.
  init(_ name: String, _ value: FlagValue, repeats: Bool = false, initial: String? = nil, _ help: String) {
    self.init(name, nil, value, repeats: repeats, initial: initial, help)
  }
}

extension CommandTable {
  static let manifestCommands: [Command] = [
    Command(
      name: "apply", summary: "Create or change the objects of manifests",
      operands: "-f FILE…",
      flags: [files, namespace, dryRun, manifestOutput] + connection,
      details: """
        Each object is compared with the manifest applied before it (kept in an annotation) and with what the
        cluster holds, so that what others set stays, and what the manifest no longer has goes. Every document is
        tried; the exit status is 1 when one was refused.
        """,
      examples: [
        ("stint apply -f job.yaml", "Run the Job of a manifest"),
        ("stint apply -f jobs/ -n batch", "Apply each .yaml, .yml and .json file of a directory"),
        ("generate | stint apply -f -", "Apply what another program prints"),
      ], run: ApplyCommand.apply),
    Command(
      name: "create",
      summary: "Create the objects of manifests; one that exists is an error; or a Job, a CronJob, a token",
      operands: "(-f FILE… | job NAME | cronjob NAME | token NAME) [-- COMMAND…]",
      operand: .words(CreateJobCommand.words + [CreateTokenCommand.word]), count: 0...1000,
      flags: [
        files, namespace, dryRun, manifestOutput,
        Flag("duration", .duration(Bounds.patience), initial: "1h", "With token: how long it is valid, 10m at least"),
        Flag(
          "audience", .text("AUDIENCE"), repeats: true, "With token: whom it is for, if not the API; may be repeated"),
        Flag("image", .text("IMAGE"), "With job and cronjob: what the container runs"),
        Flag("from", .text("cronjob/NAME"), "With job: run this CronJob now"),
        Flag("schedule", .text("SCHEDULE"), "With cronjob: when it runs, as cron has it"),
        Flag(
          "restart", .choice(["OnFailure", "Never"]), initial: "OnFailure",
          "With cronjob: whether a container that fails is started again in its pod"),
      ] + connection,
      examples: [
        ("stint create -f job.yaml", "Create the Job; with metadata.generateName, a new one each time"),
        ("stint create job now --from=cronjob/nightly", "Run a CronJob now"),
        ("stint create cronjob tick --image=busybox --schedule='*/5 * * * *' -- date", "A Job each five minutes"),
        ("stint create token robot --duration 24h", "A token by which a program is the ServiceAccount robot for a day"),
      ],
      run: ApplyCommand.create),
    Command(
      name: "delete", summary: "Delete objects, and wait until they are gone",
      operands: "(KIND NAME… | KIND/NAME… | KIND -l SELECTOR | KIND --all)", operand: .kindAndNames, count: 0...1000,
      flags: [
        files, selector, fieldSelector, Flag("all", "Delete all objects of the kind in the namespace"),
        Flag(
          "cascade", .choice(["background", "foreground", "orphan"]), initial: "background",
          "What becomes of a Job's pods: deleted after it, before it, or kept"),
        Flag("wait", initial: "true", "Wait until the objects are gone"),
        Flag("timeout", .duration(Bounds.patience), initial: "no limit", "How long to wait for each"),
        Flag(
          "grace-period", .integer("SECONDS", Bounds.grace),
          "Seconds that deleted pods get to end, else their own setting; a Job's pods keep theirs"),
        Flag("force", "Drop the object at once. A person's word that its work has ended: nothing proves it"),
        Flag("ignore-not-found", "One that does not exist counts as deleted"),
        Flag("output", "o", .choice(["name"]), "Print KIND/NAME only"), namespace, allNamespaces,
      ] + connection,
      examples: [
        ("stint delete job quiz-init", "Delete a Job and its pods"),
        ("stint delete job/demo --cascade=orphan", "Delete a Job, keep its pods"),
        ("stint delete pods -l job-name=demo", "Delete the pods of a Job; it replaces them"),
      ], run: DeleteCommand.run),
    Command(
      name: "patch", summary: "Change fields of an object", operands: "KIND NAME -p PATCH", operand: .kindAndNames,
      count: 1...2,
      flags: [
        Flag("patch", "p", .text("PATCH"), "The patch, as JSON or YAML"),
        Flag("patch-file", .file, "A file that holds the patch"),
        Flag("type", .choice(["merge", "strategic", "json"]), initial: "merge", "How the patch is meant"), dryRun,
        Flag("subresource", .choice(["status"]), "Patch that part of the object"), manifestOutput, namespace,
      ] + connection,
      examples: [
        ("stint patch job demo -p '{\"spec\":{\"suspend\":false}}'", "Let a suspended Job run"),
        ("stint patch job demo -p '{\"spec\":{\"parallelism\":4}}'", "Run four pods at a time"),
      ], run: PatchCommand.run),
    Command(
      name: "suspend", summary: "Stop Jobs: end their pods, keep what they completed", operands: "JOB…", operand: .job,
      count: 1...1000, flags: [namespace] + connection,
      examples: [("stint suspend generate-responses", "Delete its running pods and create no others")],
      run: PatchCommand.suspend),
    Command(
      name: "resume", summary: "Let suspended Jobs run again", operands: "JOB…", operand: .job, count: 1...1000,
      flags: [namespace] + connection,
      examples: [("stint resume generate-responses", "Go on from the completions it has")], run: PatchCommand.resume),
    Command(
      name: "rerun", summary: "Run a Job that has ended once more, as a copy of it", operands: "JOB", operand: .job,
      count: 1...1,
      flags: [
        Flag("failed-indexes", "Of an Indexed Job only the indexes that have not succeeded, under their own numbers"),
        dryRun, manifestOutput, namespace,
      ] + connection,
      details: """
        The copy is called JOB-rerun-1 (or the next number that is free), and its annotation stint.dev/rerun-of names
        the Job. Of a Job that completed, --failed-indexes are those that failed by the way. The exit status is 1 when
        the Job has not ended, or no index of it has failed.
        """,
      examples: [
        ("stint rerun quiz-init", "Run it once more; prints job.batch/quiz-init-rerun-1 created"),
        ("stint rerun score --failed-indexes", "Only what failed of an Indexed Job"),
        ("stint wait job/$(stint rerun score -o name | cut -d/ -f2)", "Run it once more, and wait for its success"),
      ], run: RerunCommand.run),
  ]

  static let objectCommands: [Command] = [
    Command(
      name: "get", summary: "List objects, or show some", operands: "(KIND[,KIND…] [NAME…] | KIND/NAME…)",
      operand: .kindAndNames, count: 1...1000,
      flags: [
        selector, fieldSelector,
        Flag(
          "output", "o", .choice(["wide", "yaml", "json", "name", "jsonpath="]),
          "More columns, whole objects, names only, or parts"),
        Flag("watch", "w", "Go on and print each change"), Flag("no-headers", "Leave out the line of column names"),
        Flag("show-labels", "Add a column of labels"),
        Flag("show-managed-fields", "With -o yaml or json: metadata.managedFields too, which says who set what"),
        Flag("sort-by", .text("PATH"), "Sort by a field, such as .metadata.creationTimestamp"),
        Flag("ignore-not-found", "One that does not exist is no error"),
        Flag("timeout", .duration(Bounds.patience), initial: "no limit", "With --watch: when to stop"), namespace,
        allNamespaces,
      ] + connection,
      details: """
        Kinds: jobs, pods (po), nodes (no), configmaps (cm), namespaces (ns), events (ev), and others that
        the coordinator stores; `all` is pods and jobs.
        """,
      examples: [
        ("stint get jobs", "List the Jobs of the namespace"),
        ("stint get pods -l job-name=demo -o wide", "List a Job's pods with their nodes"),
        ("stint get pods -w", "Watch pods come and go"),
        ("stint get job/demo -o yaml", "Print a Job with its status"),
        ("stint get job/demo -o jsonpath={.status.succeeded}", "Print one field; jsonpath knows [*], filters, range"),
      ], run: GetCommand.run),
    Command(
      name: "describe", summary: "Tell everything about objects, with their events",
      operands: "(KIND [NAME…] | KIND/NAME…)", operand: .kindAndNames, count: 1...1000,
      flags: [selector, namespace, allNamespaces] + connection,
      examples: [
        ("stint describe job quiz-init", "Tell how a Job stands and what happened to it"),
        ("stint describe node node-1", "Tell what a node has and runs"),
      ], run: DescribeCommand.run),
    Command(
      name: "logs", summary: "Print what containers wrote", operands: "(POD | job/NAME | -l SELECTOR)", operand: .pod,
      count: 0...2,
      flags: [
        Flag("container", "c", .text("CONTAINER"), "Which container, where a pod has several"),
        Flag("all-containers", "All containers, init containers first"),
        Flag("all-pods", "All pods of a Job, not only one"),
        Flag("follow", "f", "Go on as the log grows; of a Job, with all pods until it ends"),
        Flag("prefix", "Start each line with its pod and container"),
        Flag("previous", "p", "The run before the last restart"), Flag("timestamps", "Start each line with its time"),
        Flag(
          "tail", .integer("LINES", -1...Int64.max), initial: "all; 10 with --selector",
          "Only the last lines; -1: all"),
        Flag("since", .duration(1...Bounds.century), "Only lines younger than this"),
        Flag("timeout", .duration(Bounds.patience), initial: "no limit", "With --follow: when to stop"),
        Flag(
          "pod-running-timeout", .duration(0...Bounds.century), initial: "20s",
          "How long to wait for a Job's first pod"), selector,
        namespace,
      ] + connection,
      examples: [
        ("stint logs job/quiz-init --all-containers --prefix", "All that a Job's pod wrote"),
        ("stint logs -f job/demo", "Follow all pods of a Job, those too that start later, until it ends"),
        ("stint logs demo-x7k2p --previous", "What the container wrote before it was restarted"),
      ], run: LogsCommand.run),
    Command(
      name: "exec", summary: "Run a command in a container that runs", operands: "(POD | job/NAME) -- COMMAND…",
      operand: .pod, count: 2...1000,
      flags: [
        Flag("container", "c", .text("CONTAINER"), "Which container, where a pod has several"),
        Flag("stdin", "i", "Pass standard input on to the command"),
        Flag("tty", "t", "Give the command a terminal: this one"), namespace,
      ] + connection,
      details: """
        The command has the container's environment, user, limits and files, and ends with it. Where this program
        ends, or its connection, the command is killed. The exit status is the command's.
        """,
      examples: [
        ("stint exec demo-x7k2p -- ls -l", "Run a command in the pod's container"),
        ("stint exec -it job/demo -- sh", "A shell in the first pod of a Job that runs"),
        ("stint exec -i demo-x7k2p -- sh -c 'cat > /tmp/in' < file", "Hand something in"),
      ], run: ExecCommand.run),
    Command(
      name: "attach", summary: "Show what a container writes from now on, and type into it",
      operands: "(POD | job/NAME)", operand: .pod, count: 1...1,
      flags: [
        Flag("container", "c", .text("CONTAINER"), "Which container, where a pod has several"),
        Flag("stdin", "i", "Pass standard input on to a container that has stdin: true"),
        Flag("tty", "t", "Lead the terminal of a container that has tty: true to this one"), namespace,
      ] + connection,
      details: """
        Ends with the container, or where standard input ends and the container's stays open. A container with
        stdinOnce reads the end of its input then. ctrl-p ctrl-q leaves a terminal as it is.
        """,
      examples: [
        ("stint attach demo-x7k2p", "What the pod's container writes"),
        ("stint attach -it demo-x7k2p", "Its terminal"),
      ], run: AttachCommand.run),
    Command(
      name: "cp", summary: "Copy files between this machine and a container",
      operands: "(POD:PATH PATH | PATH POD:PATH)",
      operand: .none, count: 2...2,
      flags: [Flag("container", "c", .text("CONTAINER"), "Which container, where a pod has several"), namespace]
        + connection,
      details: "Both sides need tar. A target that is a folder gets the copy inside it.",
      examples: [
        ("stint cp demo-x7k2p:/tmp/out.csv .", "Fetch a file"),
        ("stint cp input/ demo-x7k2p:/tmp/input", "Bring a folder"),
      ], run: CopyCommand.run),
    Command(
      name: "port-forward", summary: "Lead ports of this machine to ports of a pod",
      operands: "(POD | job/NAME) [LOCAL:]REMOTE…", operand: .pod, count: 2...100,
      flags: [Flag("address", .text("ADDRESS"), initial: "127.0.0.1", "Where to listen"), namespace] + connection,
      details: "Goes on until it is interrupted. A pod's ports are its node's, those of other programs there too.",
      examples: [
        ("stint port-forward demo-x7k2p 8080", "http://localhost:8080 is the pod's port 8080"),
        ("stint port-forward job/demo :80", "Any free port here; it is printed"),
      ], run: PortForwardCommand.run),
    Command(
      name: "wait", summary: "Wait until Jobs (or other objects) are where they should be",
      operands: "(KIND/NAME… | KIND NAME… | KIND -l SELECTOR | KIND --all)", operand: .kindAndNames, count: 1...1000,
      flags: [
        Flag(
          "for", .suggested("STATE", ["complete", "failed", "finished", "suspended", "delete", "condition="]),
          initial: "complete", "complete, failed, finished, suspended, delete, or condition=NAME[=VALUE]"), timeout,
        selector,
        Flag("all", "All objects of the kind in the namespace"), Flag("quiet", "q", "Show no progress"), namespace,
      ] + connection,
      details: """
        The exit status tells the end: 0 it is so; 1 it ended otherwise (a Job failed that should complete); 124 the
        time is up; 2 wrong usage. While the coordinator is away it keeps trying.
        """,
      examples: [
        ("stint wait job/demo --for=complete --timeout 5m", "Wait for success"),
        ("stint wait job/demo --for=finished", "Wait for the end, whichever it is"),
        ("stint wait pod/demo-x7k2p --for=delete", "Wait until a pod is gone"),
      ], run: WaitCommand.run),
    Command(
      name: "events", summary: "List what happened, oldest first",
      flags: [
        Flag("for", .text("KIND/NAME"), "Only events about that object"), Flag("watch", "w", "Go on with new events"),
        Flag("types", .text("TYPE[,TYPE]"), "Only events of these types: Normal, Warning"),
        Flag("no-headers", "Leave out the line of column names"),
        Flag("timeout", .duration(Bounds.patience), initial: "no limit", "With --watch: when to stop"), namespace,
        allNamespaces,
      ] + connection,
      examples: [("stint events --for job/demo", "What happened to a Job")], run: EventsCommand.run),
    Command(
      name: "top", summary: "Show what pods, nodes or Jobs use now", operands: "(pods | nodes | jobs) [NAME]",
      operand: .words(TopCommand.words), count: 1...2,
      flags: [
        selector, namespace, allNamespaces, Flag("containers", "Of pods: a line for each container"),
        Flag("sort-by", .choice(["cpu", "memory"]), initial: "by name", "The largest first"),
        Flag("sum", "Of pods and Jobs: their sum too"),
        Flag("no-headers", "Leave out the line of column names"),
      ] + connection,
      details: """
        Nodes measure only while somebody asks: the first answer takes a second or two.
        """,
      examples: [
        ("stint top nodes", "What each machine has to do"), ("stint top pods -A", "And who makes it do that"),
        ("stint top jobs --sort-by memory", "Of each Job's running pods together"),
      ],
      run: TopCommand.run),
    Command(
      name: "ui", summary: "Show the cluster in a browser: Jobs, indexes, logs, nodes",
      flags: [
        Flag("port", .integer("N", 0...65_535), initial: "any that is free", "Port of 127.0.0.1 to listen on"),
        Flag("no-open", "Print the address, and open no browser"),
        Flag("to", .directory, "Instead: write the page's files there, for `kubectl proxy --www`"),
      ] + connection.filter { $0.name != "server" },
      details: """
        The page asks the Kubernetes API as you: whom the kubeconfig names. Its address works once, in one browser, and
        only on this machine; it ends with this command. It also works with clusters that are no Stint's.
        """,
      examples: [
        ("stint ui", "Open the page"), ("stint ui --no-open", "Print its address, for a browser of your own"),
        ("stint ui --to page", "Its files, for: kubectl proxy --www page --www-prefix /ui/"),
      ], run: UICommand.run),
    Command(
      name: "cordon", summary: "Give nodes no more pods", operands: "NODE…", operand: .node, count: 1...1000,
      flags: connection, examples: [("stint cordon node-2", "Leave its pods, add none")], run: NodeCommand.cordon),
    Command(
      name: "uncordon", summary: "Give cordoned nodes pods again", operands: "NODE…", operand: .node, count: 1...1000,
      flags: connection, examples: [("stint uncordon node-2", "Let it take pods again")], run: NodeCommand.uncordon),
    Command(
      name: "drain", summary: "Empty nodes: cordon them, end their pods, wait until they are gone", operands: "NODE…",
      operand: .node, count: 1...1000,
      flags: [
        timeout,
        Flag(
          "grace-period", .integer("SECONDS", Bounds.grace),
          "Seconds that pods get to end; their own setting without it"),
        Flag("force", "End pods too that no Job will replace"),
      ] + connection,
      examples: [("stint drain node-2 --timeout 2m", "Move a node's work elsewhere before you stop it")],
      run: NodeCommand.drain),
  ]
}
