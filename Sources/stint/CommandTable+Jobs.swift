// Owns: the commands for people who have a command and no manifest: their flags, help and examples. It must not know
// how any command works.

import ClusterProto

extension CommandTable {
  private static let quiet = Flag("quiet", "q", "Say nothing of what changes; only logs and errors")
  private static let prefix = Flag(
    "prefix", initial: "where there are several pods", "Start each line with the pod's index or name")

  static let jobCommands: [Command] = [
    Command(
      name: "run", summary: "Run a command as a Job, show what it writes, and end as it ends",
      operands: "[flags] -- COMMAND…", operand: .none, count: 1...100_000,
      flags: runFlags + [
        Flag("detach", "d", "Make the Job and do not follow it"), prefix, quiet, dryRunBare, manifestOutput, namespace,
      ] + connection, details: runDetails,
      examples: [
        ("stint run -- ./report.sh", "A program that every node has, run once on one of them"),
        (
          "stint run --file train.py --cpu 2 --memory 4Gi -- python3 train.py",
          "A file of yours, brought to where it runs"
        ),
        ("stint run --array 1-100 --retries 2 -- ./simulate --seed {}", "A hundred pods, each with its number"),
        ("ls data | stint run --each - -- gzip data/{}", "A pod for each line"),
        (
          "stint run --memory 1Gi --oom-memory x2:16Gi -- ./solve",
          "Again with 2, 4, 8 and 16 GiB where that was too little"
        ),
        ("stint run --each urls.txt --image alpine -- wget -q {}", "In an image"),
        ("stint run --array 1-3 --dry-run -o yaml -- date", "Only print the Job"),
      ], run: RunCommand.run),
    Command(
      name: "stop", summary: "End Jobs now: their pods end, the Jobs stay, as Failed", operands: "JOB…", operand: .job,
      count: 1...1000, flags: [namespace] + connection,
      details: """
        A deadline that is over (spec.activeDeadlineSeconds) ends the Job as Kubernetes does it: running pods get
        SIGTERM and their grace period, those that have ended stay with their logs. The annotation stint.dev/stopped
        says that it was you. `stint suspend` instead lets a Job go on later; `stint retry` runs it once more.
        """,
      examples: [("stint stop train-x7k2p", "It is enough")], run: StopCommand.run),
    Command(
      name: "retry", summary: "Run a Job that has ended once more, and follow it as `stint run` does", operands: "JOB",
      operand: .job, count: 1...1,
      flags: [
        Flag("failed-indexes", "Only the indexes that have not succeeded, with their own numbers and items"),
        Flag("detach", "d", "Make the Job and do not follow it"), prefix, quiet, dryRunBare, manifestOutput, namespace,
      ] + connection,
      details: """
        Makes what `stint rerun` makes: a copy called JOB-rerun-1 (or the next number that is free) whose annotation
        stint.dev/rerun-of names the Job, and whose stint.dev/indexes names the indexes that run. ConfigMaps that the
        Job owns, those of `stint run`, belong to both. The exit status is the new Job's, as that of `stint run`; 1
        when the Job has not ended, or no index of it has failed.
        """,
      examples: [
        ("stint retry score --failed-indexes", "Only what failed"), ("stint retry train-x7k2p", "All of it"),
      ], run: RerunCommand.retry),
    Command(
      name: "why", summary: "Tell why a Job or a pod waits, is slow, or failed", operands: "(JOB | POD | KIND/NAME)",
      operand: .job, count: 1...2, flags: [namespace] + connection,
      details: """
        One paragraph from its conditions, pods, exit codes, events, place in the queue and the nodes; then the last
        lines of a container that failed, and what to type next. A bare name is a Job's, else a pod's.
        """,
      examples: [("stint why score", "Which indexes failed, and how"), ("stint why pod/score-6-pddv4", "One pod")],
      run: WhyCommand.run),
    Command(
      name: "history", summary: "List Jobs that have ended, or the attempts of one Job", operands: "[JOB]",
      operand: .job, count: 0...1,
      flags: [
        Flag("state", .choice(HistoryCommand.results), "Only Jobs that ended so"),
        Flag("since", .duration(1...Bounds.century), "Only Jobs that ended within that time"),
        Flag("limit", .integer("N", 1...Int64(Int32.max)), initial: "all", "Only the last N"),
        selector,
        Flag("output", "o", .choice(["wide", "name", "json", "yaml"]), "Times too, names only, or the objects"),
        Flag("no-headers", "Leave out the line of column names"), namespace, allNamespaces,
      ] + connection,
      details: """
        By their ends, the latest last. BY is what made the Job, as far as it says so: a CronJob, the Job that it
        repeats, or the program that wrote it. Jobs that were deleted, by a person or when their time to live was over,
        are not there. Of one Job: its pods, and those that are gone as far as its record of the last failures tells.
        """,
      examples: [
        ("stint history", "What has ended here"),
        ("stint history -A --state failed --since 24h", "What went wrong since yesterday"),
        ("stint history score", "Which attempts it had, where, how long, and how they ended"),
      ], run: HistoryCommand.run),
  ]

  private static let dryRunBare: Flag = {
    var flag = dryRun
    flag.bare = "client"
    return flag
  }()

  private static let runFlags: [Flag] = [
    Flag("name", .text("NAME"), initial: "the command's, and five characters", "Name of the Job"),
    Flag("completions", .integer("N", 1...Int64(Int32.max)), initial: "1", "How many pods have to succeed"),
    Flag(
      "parallelism", .integer("N", 0...Int64(Int32.max)),
      initial: "10; with --cpu, --memory or --gpu as many as there is room for, up to 1000", "Pods at a time"),
    Flag("indexed", "With --completions: each pod has its own index, from 0 on"),
    Flag("array", .text("RANGE"), "A pod for each number: 1-100, 0-90:10, or 1,4,7-9"),
    Flag("each", .file, "A pod for each line of a file, - for standard input; empty lines are left out"),
    Flag(
      "retries", .integer("N", 0...Int64(Int32.max)),
      initial: "0; with --oom-memory up to the bound, of OOMKilled alone",
      "How often a failure is tried again; with indexes: each"),
    Flag(
      "backoff", .text("RULE"), initial: "10s, doubling to 10m", "Pauses before that, as initial=1s,factor=2,max=1m"),
    Flag("timeout", .duration(1_000...Bounds.century), initial: "no limit", "End the Job when it takes longer"),
    Flag("image", .text("IMAGE"), initial: "host, the node's own programs", "What the command runs in"),
    Flag("cpu", .cpu(Bounds.millicores), "Processors that each pod asks for"),
    Flag("memory", .bytes(Bounds.memory), "Memory that each pod asks for and cannot exceed"),
    Flag(
      "oom-memory", .text("xFACTOR:BOUND"),
      "A retry after OOMKilled asks for that much more, up to the bound, as x2:16Gi; needs --memory"),
    Flag("gpu", .integer("N", 1...1_000), "GPUs of each pod (nvidia.com/gpu)"),
    Flag(
      "on-node", .text("LABEL=VALUE"), repeats: true, "Only on nodes with that label, or that name; may be repeated"),
    Flag("queue", .text("QUEUE"), "Wait in a queue for the turn"),
    Flag("after", .text("JOB[:any]"), repeats: true, "Begin when that Job has succeeded, or ended; may be repeated"),
    Flag("env", .text("NAME=VALUE"), repeats: true, "A variable of the command; may be repeated"),
    Flag(
      "file", .text("LOCAL[:PATH]"), repeats: true, "Bring a small file to where the command works; may be repeated"),
  ]

  private static let runDetails = """
    The exit status is the Job's: 0 it completed; else the exit code of the container that failed (of several
    the one of the lowest index); 124 --timeout was over; 130 it was stopped, or Ctrl-C left it; 1 anything else.
    What pods write goes to standard output, what happens to them to standard error.

    The words behind -- are executed as they are: no shell reads them, here or there, and no $(NAME) is expanded.
    With --array, --each or --indexed, {} in them is the pod's item (the number, the line, the index), whatever
    characters it has; $STINT_ITEM has it too, and $JOB_COMPLETION_INDEX counts from 0. That needs /bin/sh in the
    image. A failed index does not end the others, and --retries counts for each. Lost machines cost no retry.

    Files go into a ConfigMap (1 MiB together), as do the lines of --each (1 MiB, 100000 lines), which the Job
    owns. Those without an absolute PATH lie in the command's working directory then, an empty one.

    On a terminal Ctrl-C asks whether to stop the Job, leave it or go on; in a pipe it leaves it, and says how to
    come back: stint logs -f job/NAME, stint stop NAME.
    """
}
