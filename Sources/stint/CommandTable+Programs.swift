// Owns: the part of the command list that starts programs (cluster, coordinator, agent, simulator) or needs no cluster.
// It must not know how any of them works.

import ClusterProto

extension CommandTable {
  /// Of commands whose output is a secret.
  static let secretFile = Flag(
    "to", .file, "Write what is made to this file, which only you can read, instead of printing it")
  /// Where a cluster is unless told otherwise, as `Endpoint.dataDirectory` has it.
  private static let dataDefault = "$XDG_DATA_HOME/stint, else ~/.local/share/stint, without HOME /var/lib/stint"
  private static let logLimit = Flag(
    "log-limit", .bytes(Bounds.logBytes), initial: "10Mi", "Log kept of a container's run; what is older goes")

  /// Shorter, a frozen pod would not outlast a coordinator's restart.
  private static let frozenKill = Flag(
    "frozen-kill", .duration(1_000...365 * Bounds.day), initial: "10m",
    "How long a frozen pod waits for word before it is killed")

  private static let images = Flag(
    "images", .choice([ImageMode.on.rawValue, ImageMode.off.rawValue]), initial: "on as root, else off",
    "Run containers in their images; off, or with image: host, they are programs of the machine")

  static let clusterCommands: [Command] = [
    Command(
      name: "up", summary: "Run a whole cluster on this machine until Ctrl-C",
      flags: [
        Flag(DetachCommand.flag, "d", "Start it in the background, and return once it is up; `stint down` ends it"),
        Flag("agents", .integer("N", 1...100), initial: "3", "How many agents"),
        Flag(
          "overcommit", "Each agent offers the whole machine; without it they share its processors and memory"),
        Flag("restart", initial: "true", "Start a coordinator or agent again that ends by itself"),
        Flag(
          "data", .directory, initial: dataDefault,
          "Where the cluster keeps its state and logs"),
        Flag("listen", .text("HOST:PORT"), initial: Endpoint.defaultServer, "Address of the coordinator"),
        Flag(
          "api", .text("HOST:PORT"), initial: "\(Endpoint.defaultAPI), or a free port when --listen is another",
          "Where the Kubernetes API is served for kubectl"),
      ] + timing + [logLimit, images, help],
      details: """
        Starts a coordinator and agents as processes of their own, waits until every node is Ready and says how to
        talk to the cluster. Ctrl-C ends the pods, the agents and the coordinator, in that order; a second one ends
        them at once. Jobs and their history stay in the data directory for the next start. A coordinator or agent
        that ends by itself is started again, after 1 s, 2 s, 4 s and so on; when that did not help five times in a
        row, it is left to you.
        With --detach it belongs to no terminal; its log is DATA/logs/up.log, DATA/up.json says which process it is.
        Where a cluster runs on the directory already, it is told which, and nothing is started.
        """,
      examples: [
        ("stint up", "A coordinator and three agents"), ("stint up --detach", "In the background"),
        ("stint up --agents 1 --data /tmp/try", "A small cluster to throw away"),
      ], run: UpCommand.run),
    Command(
      name: "down", summary: "End the cluster that `stint up` runs on this machine",
      flags: [
        Flag("data", .directory, initial: dataDefault, "Data directory that was given to `stint up`"),
        Flag("force", "At once: pods get no grace"),
        Flag("timeout", .duration(Bounds.patience), initial: "3m", "How long to wait until it has ended"), help,
      ],
      details: """
        Ends the pods, the agents and the coordinator, in that order, and waits: that of `stint up --detach`, or one
        that runs in another terminal; and what an `up` that was killed has left. It signals only a process that
        holds the directory's lock and is the one that DATA/up.json names by its id and start time. Jobs and their
        history stay for the next start. The exit status is 0 also where nothing ran; 124 when the time was up.
        """,
      examples: [
        ("stint down", "End it"), ("stint down --data /tmp/try", "End the one of that data directory"),
      ], run: DownCommand.run),
    Command(
      name: "coordinator", summary: "Run the coordinator of a cluster",
      flags: [
        Flag("data", .directory, "Required: where it keeps its state; made if need be"),
        Flag("listen", .text("ADDRESS[:PORT]"), initial: Endpoint.defaultServer, "Address to listen on"),
        Flag(
          "api", .text("ADDRESS[:PORT]"), initial: "beside --listen on \(Endpoint.apiPort), or on a free port",
          "Where the Kubernetes API is served for kubectl; 0.0.0.0 or :: is every address of the machine"),
        Flag(
          "advertise", .text("NAME-OR-ADDRESS"), repeats: true,
          "By what others reach this machine, if not by its own addresses; may be repeated, the best first"),
      ] + timing + [
        Flag("charge-lost-attempts", "Count pods lost with their node against backoffLimit, as Kubernetes does"),
        Flag("accept-loss", "Start once with what a damaged or old store still holds; the damaged file is kept"),
        Flag("moved", "Start once with a store that was moved or restored; no pod gets a node for about 10 minutes"),
        Flag("new-authority", "Start once with a new authority where the cluster's is lost: all certificates are void"),
        Flag(
          "node-certificate-lifetime", .duration(10_000...36_500 * Bounds.day), initial: "90d",
          "How long a node's certificate is valid; agents renew it between half and four fifths of that"),
        Flag(
          "terminated-pod-gc-threshold", .integer("N", Bounds.anyNumber), initial: "12500",
          "How many finished pods are kept before the oldest go; 0 or less: all"), help,
      ],
      examples: [("stint coordinator --data /var/lib/stint", "Serve agents and clients of this machine")],
      run: ServeCommand.coordinator),
    Command(
      name: "agent", summary: "Run this machine's pods for a coordinator",
      flags: [
        Flag(
          "join", .text("TOKEN"),
          "What `stint token create` printed; other users see it in the process list for a moment, so prefer a file"),
        Flag("join-file", .file, "A file that holds it; $STINT_JOIN may hold it too"),
        Flag(
          "coordinator", .text("HOST:PORT"),
          initial: "the token's, --authority's or where it joined; else \(Endpoint.defaultServer)",
          "Address of the coordinator; kept for the next starts once it was reached there"),
        Flag("name", .text("NAME"), initial: "the one it joined as, or the machine's", "Name of the node"),
        Flag(
          "data", .directory, initial: "/var/lib/stint-agent as root, else as of `stint up` with -agent behind it",
          "Where it keeps its state and logs; made if need be"),
        Flag(
          "authority", .directory,
          "A coordinator's data directory on this machine, whose authority gives the agent its identity"),
        Flag("cpu", .cpu(Bounds.millicores), initial: "the machine's", "Processors to offer"),
        Flag("memory", .bytes(Bounds.memory), initial: "the machine's", "Memory to offer"),
        Flag("pods", .integer("N", 1...10_000), initial: "110", "Most pods at a time"),
        Flag(
          "reserve", .text("RESOURCE=QUANTITY,…"), initial: "nothing",
          "What of cpu, memory and ephemeral-storage is kept from pods, as cpu=500m,memory=1Gi"),
        Flag(
          "resource", .text("NAME=N"), repeats: true,
          "Offer N of an extended resource; a name without a domain is stint.dev/NAME; may be repeated"),
        Flag(
          "resource-env", .text("NAME=VARIABLE"), repeats: true,
          "Tell containers by this variable which ones of --resource they have, as 0,1; may be repeated"),
        Flag(
          "pod-pids-limit", .integer("N", -1...4_194_304), initial: "-1",
          "Most processes and threads of a pod; -1: as many as it likes"),
        Flag("label", .text("KEY=VALUE"), repeats: true, "Label of the node; may be repeated"),
        Flag(
          "node-ip", .text("ADDRESS"), initial: "the one that reaches the coordinator",
          "Address of the node and its pods"),
        Flag("pod-user", .text("USER"), "Run pods as this user"),
        frozenKill,
        Flag(
          "eviction-hard", .text("SIGNAL<QUANTITY,…"),
          initial: "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,pid.available<5%, "
            + "of a disk at most 5Gi and 100000 inodes",
          "With less than that the node takes no pods and ends one after the other, in kubelet's order"),
        Flag(
          "pressure-transition", .duration(0...Bounds.day), initial: "5m",
          "How long a node that was short of disk, memory or processes must have enough before it takes pods again"),
        logLimit, images,
        Flag(
          "max-parallel-pulls", .integer("N", 1...1_000), initial: "3",
          "With --images=on: most images that are fetched at once"),
        Flag(
          "image-maximum-age", .duration(120_000...Bounds.century), initial: "none",
          "With --images=on: an image that no pod has used for so long is removed, whatever room the disk has"),
        Flag("stop", "End the agent that runs on this data directory, with its pods"), help,
      ],
      details: """
        A machine joins once: it makes a key that never leaves it, proves by the token that it may come, and gets a
        certificate for its name, which it renews by itself. From then on it needs no token and ignores one.
        SIGTERM to an agent leaves its pods running under their keeper, so that it can be upgraded; --stop ends them.
        """,
      examples: [
        ("stint agent --join-file token", "Join the cluster whose line is in the file, and work for it"),
        ("stint agent", "Work again, after a boot"),
        ("stint agent --name node-4 --data /var/lib/stint-agent --cpu 4 --memory 8Gi", "Offer part of a machine"),
        ("stint agent --stop --data /var/lib/stint-agent", "End the agent and its pods"),
      ], run: ServeCommand.agent),
    Command(
      name: "keeper", summary: "Own a node's pods; an agent starts it",
      flags: [
        Flag("data", .directory, "Required: the agent's data directory"),
        Flag("pod-user", .text("USER"), "Run pods as this user"),
        frozenKill,
        logLimit, help,
      ], hidden: true, run: ServeCommand.keeper),
    Command(
      name: "simulate", summary: "Run the real cores in a simulated cluster full of faults",
      flags: [
        Flag("seed", .integer("N", 0...Int64.max), "Replay this seed, twice: its trace must be the same"),
        Flag("seeds", .integer("N", 1...1_000_000_000), initial: "200", "How many seeds to run"),
        Flag("first", .integer("N", 0...Int64(1) << 62), initial: "1", "The first of them"),
        Flag("hours", .text("H"), initial: "1", "Simulated hours with faults, each seed"),
        Flag(
          "mutations", .integer("N", Bounds.counts),
          "Instead: N requests and messages with extreme numbers into the cores"),
        Flag("pace", .text("PACE"), "How slow the worlds are: busy, slow, calm, or drawn by each seed (default busy)"),
        Flag("without", .text("PARTS"), "With --seed: leave these parts of its world out, as a shrunk seed says"),
        Flag("shrink", initial: "true", "Make the first failing seed small"),
        Flag("trace", "Print the end of the seed's trace"), help,
      ],
      details: """
        Coordinator, agents and keepers run as they are; network, disk, clocks and processes are simulated from the
        seed. Invariants are checked after every step. Exit status 1 when one was violated: the first such seed is made
        small (a shorter run, fewer kinds of faults, fewer nodes) and told in a page.
        """,
      examples: [
        ("stint simulate", "200 seeds of one hour"), ("stint simulate --seed 24", "Exactly one of them again"),
      ], run: SimulateCommand.run),
    Command(
      name: "bench", summary: "Measure speed and memory beside the machine's own limit",
      flags: [
        Flag("quick", "Smaller sizes, for a first look"),
        Flag(
          "only",
          .choice([
            "idle", "jobs", "fleet", "history", "indexes", "queues", "api", "crowd", "access", "mount", "images",
          ]),
          repeats: true,
          "Only these figures: an idle cluster, real Jobs, a thousand agents, finished pods, Indexed Jobs, Jobs that "
            + "wait in queues, the Kubernetes API, crowds that connect at once, what roles cost, what pods' tokens "
            + "cost, pods of an image; may be repeated"),
        Flag(
          "beside", .file,
          "Another build of stint: measure Jobs and reads of both in turn, and give this one's as a share of its"),
        Flag("rounds", .integer("N", 1...100), initial: "5", "How often each is measured, with --beside"), help,
      ],
      details: """
        Starts clusters of its own in a temporary directory and ends them. Figures depend on what else the machine
        does; the raw rate of starting processes is measured in the same run.
        """,
      examples: [
        ("stint bench", "All figures, a few minutes"), ("stint bench --only jobs --quick", "A first look"),
        ("stint bench --beside /usr/bin/stint", "This build beside the installed one"),
      ],
      run: BenchCommand.run),
  ]

  static let otherCommands: [Command] = [
    Command(
      name: "guard", summary: "Run a command unless a newer attempt of the same work has come by",
      operands: "FILE -- COMMAND…", count: 2...1000,
      flags: [
        Flag(
          "token", .integer("N", 1...Int64.max), initial: "$STINT_FENCING_TOKEN", "The fencing token of this attempt"),
        Flag("timeout", .duration(Bounds.patience), initial: "no limit", "How long to wait for a command that runs"),
        help,
      ],
      details: """
        FILE remembers the highest token that came by; it is made where there is none, for nothing else, and best lies
        beside what is guarded, on a share too (NFS: its locks count on all machines). Never rename, replace or remove
        it: the next one would know nothing. With an older token the command is not run: exit status 77. Commands under
        one FILE never run beside each other: who comes waits, with --timeout no longer than that: exit status 75.
        Otherwise the exit status is the command's; signals are passed on to it.
        """,
      examples: [
        ("stint guard /results/.token -- mv /tmp/out /results/out", "In a container: only the newest attempt"),
        ("stint guard --token 7 ./token -- make publish", "With a number of your own"),
      ], run: GuardCommand.run),
    Command(
      name: "kubeconfig", summary: "Print a kubeconfig: kubectl's way to the cluster",
      flags: [
        Flag(
          "data", .directory, initial: dataDefault,
          "Data directory of `stint up` or of a coordinator"), secretFile, help,
      ],
      examples: [("stint kubeconfig --to ~/.kube/stint", "Then: export KUBECONFIG=~/.kube/stint")],
      run: KubeconfigCommand.run),
    Command(
      name: "backup", summary: "Copy a coordinator's data into one file, while it runs or not", operands: "FILE",
      count: 1...1,
      flags: [
        Flag(
          "data", .directory, initial: dataDefault,
          "Data directory of `stint up` or of a coordinator"), help,
      ],
      details: """
        Works on the coordinator's machine and holds up nothing. The file is what `stint restore` needs: all objects,
        the cluster's authority and its identities. Whoever reads it may do everything, so it is readable by its
        owner alone (0600). An earlier FILE is replaced once the new one is whole and on the disk.
        """,
      examples: [("stint backup --data /var/lib/stint /root/stint.backup", "From cron, for example")],
      run: BackupCommand.backup),
    Command(
      name: "restore", summary: "Make a coordinator's data directory of a backup", operands: "FILE", count: 1...1,
      flags: [Flag("data", .directory, "Required: the directory to make; it must be empty or not be there"), help],
      details: """
        The coordinator that starts on it goes on above all numbers that a newer one can have given out, and gives no
        pod a node until whatever that one has started is over, about ten minutes. Pods that run and are in the backup
        go on. What nodes hold beyond it is stopped and listed in the coordinator's log and in events. What was done
        after the backup is lost: its work runs again. The old coordinator must not run any more.
        """,
      examples: [
        ("stint restore /root/stint.backup --data /var/lib/stint", "Then: stint coordinator --data /var/lib/stint")
      ], run: BackupCommand.restore),
    Command(
      name: "image", summary: "Bring images to a node from files, list and remove those that it has",
      operands: "(load FILE… | ls | rm IMAGE…)", operand: .words(ImageCommand.words), count: 1...1000,
      flags: [
        Flag(
          "data", .directory, initial: "/var/lib/stint-agent where it is, else that of `stint up`",
          "Data directory of an agent, or of `stint up`: then each of its nodes is meant"),
        Flag("tag", .text("NAME:TAG"), "With load: what an image is called, if the file does not say"),
        Flag("output", "o", .choice(["json"]), "With ls: print as JSON"), help,
      ],
      details: """
        FILE is what `docker save`, `podman save` or `skopeo copy … docker-archive:` make, an OCI layout (a directory),
        or an archive of one; skopeo reads it. All images in it are taken, with all their names. An agent that runs
        notices. rm takes a name away, and removes the image with its last name; an id removes it at once. Layers that
        other images have stay. An image that a container runs on is not removed.
        """,
      examples: [
        ("docker save busybox:1.36 -o busybox.tar && stint image load busybox.tar", "From a machine that has Docker"),
        ("stint image load layout/ --tag tools:1 --data /var/lib/stint-agent", "From an OCI layout without names"),
        ("stint image ls", "Names, ids and sizes"),
        ("stint image rm busybox:1.36", "Make room"),
      ], run: ImageCommand.run),
    Command(
      name: "doctor", summary: "Look for problems of this machine and of the cluster, and say what to do",
      flags: [
        Flag("only", .choice(["machine", "cluster"]), initial: "both", "Look at one of the two"),
        Flag(
          "data", .directory, initial: "where they usually are",
          "Data directory of an agent, a coordinator or `stint up` on this machine"),
        Flag("output", "o", .choice(["json"]), "Print as JSON"),
      ] + connection,
      details: """
        A line for each thing that was looked at: ok, warning, problem, or skipped where it could not be; below it what
        to do. Of this machine: how pods can be isolated, limited and frozen (by trying), clock, disks, programs,
        certificates. Of the cluster, where there is a kubeconfig: coordinator, API, clocks, certificates, nodes,
        versions, pods that are stuck or wait for a proof. It changes nothing. The exit status is 1 where there is a
        problem; warnings are none.
        """,
      examples: [
        ("stint doctor", "This machine, and the cluster"),
        ("stint doctor --only machine --data /srv/alpha", "A node, before or while its agent runs"),
        ("stint doctor -o json", "For programs"),
      ], run: DoctorCommand.run),
    Command(
      name: "version", summary: "Print the versions of this program and of the coordinator",
      flags: [
        Flag("client", "Print this program's only"),
        Flag("output", "o", .choice(["json", "yaml"]), "Print as JSON or YAML"),
      ]
        + connection,
      run: VersionCommand.run),
    Command(
      name: "completion", summary: "Print the completion script of a shell", operands: "bash|zsh|fish", operand: .shell,
      count: 1...1, flags: [help],
      examples: [
        ("source <(stint completion bash)", "Complete in this bash"),
        ("stint completion zsh > \"${fpath[1]}/_stint\"", "Complete in every zsh"),
        ("stint completion fish > ~/.config/fish/completions/stint.fish", "Complete in every fish"),
      ], run: HelpCommand.completion),
    Command(
      name: "man", summary: "Write the manual pages of all commands", operands: "DIR", count: 1...1, flags: [help],
      details: "`make install` and the packages do. Each command has a page, stint-COMMAND(1); stint(1) lists them.",
      examples: [("stint man /usr/local/share/man/man1", "Then: man stint-run")], hidden: true, run: HelpCommand.man),
    Command(
      name: "help", summary: "Explain a command", operands: "[COMMAND [WORD…]]", operand: .command, count: 0...1000,
      flags: [help],
      run: HelpCommand.help),
  ]
}
