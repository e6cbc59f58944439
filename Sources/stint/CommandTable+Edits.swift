// Owns: the commands that change a few fields of objects that exist: their flags, help and examples. It must not know
// how any command works.

import ClusterProto

extension CommandTable {
  private static let overwrite = Flag("overwrite", "Replace values that are there already")
  private static let changeFlags: [Flag] =
    [
      overwrite, Flag("all", "All objects of the kind in the namespace"), selector, dryRun, manifestOutput, namespace,
    ] + connection

  static let editCommands: [Command] = [
    Command(
      name: "label", summary: "Set and remove labels of objects",
      operands: "(KIND NAME… | KIND/NAME… | KIND -l SELECTOR) KEY=VALUE… KEY-…", operand: .kindAndNames,
      count: 1...1000,
      flags: changeFlags,
      examples: [
        ("stint label job demo team=red", "Set one"), ("stint label job demo team=blue --overwrite", "Change it"),
        ("stint label node node-1 gpu-", "Remove it"), ("stint label pods -l app=quiz keep=yes", "Of all that match"),
      ], run: LabelCommand.label),
    Command(
      name: "annotate", summary: "Set and remove annotations of objects",
      operands: "(KIND NAME… | KIND/NAME… | KIND -l SELECTOR) KEY=VALUE… KEY-…", operand: .kindAndNames,
      count: 1...1000,
      flags: changeFlags,
      examples: [
        ("stint annotate job demo note='ran twice'", "Set one"), ("stint annotate job demo note-", "Remove it"),
      ], run: LabelCommand.annotate),
    Command(
      name: "scale", summary: "Change how many pods of Jobs run at a time", operands: "(job/NAME… | job NAME…)",
      operand: .kindAndNames, count: 1...1000,
      flags: [
        Flag("replicas", .integer("N", 0...Int64(Int32.max)), "Pods at a time (spec.parallelism)"),
        Flag("parallelism", .integer("N", 0...Int64(Int32.max)), "The same"),
        Flag("current-replicas", .integer("N", 0...Int64(Int32.max)), "Only if it is so many now"), namespace,
      ] + connection,
      details: """
        Fewer ends pods: those that have not begun first. 0 ends all and lets the Job wait. Kubernetes has no such
        thing for Jobs any more; here it is a patch of spec.parallelism.
        """,
      examples: [("stint scale job/score --replicas=20", "Twenty pods at a time")], run: ScaleCommand.run),
    Command(
      name: "edit", summary: "Change an object in your editor", operands: "(KIND NAME | KIND/NAME)",
      operand: .kindAndNames, count: 1...2, flags: [namespace] + connection,
      details: """
        The editor is $KUBE_EDITOR, else $EDITOR, else vi. What was changed is sent as a merge patch: what others
        change meanwhile elsewhere in the object stays. What is refused comes back with the reason above it; saved
        unchanged then, it is given up.
        """,
      examples: [("stint edit job demo", "Change what may be changed of a Job")], run: EditCommand.run),
    Command(
      name: "diff", summary: "Show what apply would change", operands: "-f FILE…",
      flags: [files, namespace] + connection,
      details: """
        The coordinator says what it would make of each manifest (a dry run), and `diff -u -N`, or
        $KUBECTL_EXTERNAL_DIFF, shows how that differs from what is there. The exit status is 0 when nothing would
        change, 1 when something would, more when something went wrong.
        """,
      examples: [("stint diff -f job.yaml", "Look before you apply")], run: DiffCommand.run),
    Command(
      name: "explain", summary: "Tell what a kind or a field of it means", operands: "KIND[.FIELD…]",
      operand: .kindAndNames, count: 1...1,
      flags: [Flag("recursive", "All fields below, without their texts"), help],
      details: """
        From what this binary knows, without a cluster: what a field means here, and where it is kept without effect or
        refused.
        """,
      examples: [
        ("stint explain job.spec", "The fields of a Job"),
        ("stint explain job.spec.backoffLimitPerIndex", "One of them"),
      ], run: ExplainCommand.run),
  ]
}
