// Owns: the part of the command list that says who gets in: users, join tokens, nodes' keys, the cluster's authority.
// It must not know how any of them works.

extension CommandTable {
  static let accessCommands: [Command] = [
    Command(
      name: "user", summary: "Give people and programs certificates, list them, take them back",
      operands: "(create NAME | list | revoke NAME…)", operand: .words(["create", "list", "revoke"]), count: 1...1000,
      flags: [
        Flag("group", .text("GROUP"), repeats: true, "With create: a group of the user; may be repeated"),
        Flag(
          "role", .suggested("ROLE", ["view", "edit", "admin", "cluster-admin"]), repeats: true,
          "With create: a ClusterRole, such as view, edit, admin; may be repeated"
        ),
        Flag(
          "namespace", "n", .text("NAMESPACE"), initial: "default",
          "With create: the kubeconfig's namespace; given, roles hold in it only, else in all"),
        Flag(
          "ttl", .duration(1_000...Bounds.century), initial: "90d", "With create: how long the certificate is valid"),
        secretFile,
      ] + connection,
      details: """
        create makes a key on this machine, has the coordinator sign a certificate for it and prints a kubeconfig that
        serves stint, kubectl and client libraries, or writes it to the file of --to. Nobody else ever has the key. The
        user may do what roles allow that are bound to its name or groups. revoke closes the user's connections at once
        and refuses all certificates made for the name so far; role bindings stay.
        """,
      examples: [
        (
          "stint user create alice --role edit -n team --to alice.kubeconfig",
          "May run Jobs in one namespace, for 90 days"
        ),
        ("stint user list", "Who has certificates, and until when"),
        ("stint user revoke alice", "Close her connections and refuse her certificates"),
      ], run: UserCommand.run),
    Command(
      name: "token", summary: "Make the lines by which machines join the cluster, list them, delete them",
      operands: "(create | list | delete ID…)", operand: .words(["create", "list", "delete"]), count: 1...1000,
      flags: [
        Flag(
          "ttl", .duration(1_000...Bounds.century), initial: "24h", "With create: how long machines may join by it"),
        Flag(
          "uses", .integer("N", Bounds.counts), initial: "any number",
          "With create: how many machines may join by it"),
        Flag("node", .text("NAME"), "With create: only for that node; a machine that was installed anew gets it back"),
        Flag("output", "o", .choice(["json"]), "Print as JSON"), secretFile,
      ] + connection,
      details: """
        create prints the command that makes a machine a node: type it there. Who has the line may join until it ends,
        so keep it as you keep a password. The cluster keeps a digest of its secret only. A machine that has joined
        needs it no more; deleting it changes nothing for those.
        """,
      examples: [
        ("stint token create --to join", "A file for all machines of the next 24 hours: stint agent --join-file join"),
        ("stint token create --uses 1 --node node-7", "For one machine, which is to be node-7"),
        ("stint token list", "Which there are, and which node joined last"),
        ("stint token delete k3x9p2m4c8v1", "Nobody joins by it any more"),
      ], run: TokenCommand.run),
    Command(
      name: "node", summary: "Declare dead nodes dead; refuse a node's key for good",
      operands: "(declare-dead | revoke) NODE…", operand: .node,
      count: 2...1000, flags: connection,
      details: """
        declare-dead is your word that a node's machine is off for good, or at least that nothing of its pods runs any
        more: their work starts elsewhere at once, without a proof. It sets Kubernetes' out-of-service taint, and only
        on a node that is not Ready.
        revoke refuses the machine's key from now on, whatever certificate it has: its session ends at once, its pods
        end as those of a lost node, and it is no way back in. The name is free for another key.
        """,
      examples: [
        ("stint node revoke node-3", "Its machine was stolen; nobody gets in by its key any more"),
        ("stint node declare-dead node-2", "Its machine burned; run its pods' work elsewhere"),
      ],
      run: NodeCommand.run),
    Command(
      name: "ca", summary: "Exchange the cluster's authority without stopping work, and show how far that is",
      operands: "(rotate | status)", operand: .words(["rotate", "status"]), count: 1...1,
      flags: [
        Flag("force", "With rotate: drop the former authority now, whoever still needs it"),
        Flag("wait", initial: "true", "With rotate: wait until the former authority is dropped"),
        Flag("watch", "w", "With status: go on until the former authority is dropped"),
        Flag(
          "timeout", .duration(0...Bounds.century), initial: "5m",
          "How long to wait; the exchange goes on without this command"),
        Flag("output", "o", .choice(["json"]), "With status: print as JSON"),
      ] + connection,
      details: """
        rotate has the coordinator make another authority, which signs everything from then on. Agents get certificates
        of it by themselves, in seconds; pods notice nothing. Users have kubeconfigs made anew (user create); what they
        have works until the former authority is dropped. That happens by itself once nobody holds a certificate of it
        any more, and at once with --force, which says whom it locks out. Copies of admin.kubeconfig are not counted:
        make them anew (stint kubeconfig). Exit status 0: it is dropped; 124: not yet, when the time was up.
        """,
      examples: [
        ("stint ca rotate", "Exchange the authority, and wait until everybody has moved"),
        ("stint ca status", "Who still holds a certificate of the former one"),
        ("stint ca rotate --force", "Drop the former one now; a machine that is away needs a join token then"),
      ], run: AuthorityCommand.run),
  ]
}
