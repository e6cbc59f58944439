// `stint run`, `why`, `retry` and `stop` through the real client, on nodes that run the pods.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A command as a Job")
struct RunCommandTests {
  @Test("items that fail are named, explained, and run again with their own items and indexes, also twice")
  func items() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 2) { cluster in
        let items = ["good one", "bad $HOME \"x\" {}", "fine", "bad 'y'"]
        let list = "\(cluster.directory)/list"
        try Files.writeAtomically(list, Array(items.joined(separator: "\n").utf8))
        let script = "echo \"<$1> $JOB_COMPLETION_INDEX <$STINT_ITEM>\"; case $1 in bad*) exit 3 ;; esac"
        let run = try cluster.stint("run", "--name", "score", "--each", list, "--", "sh", "-c", script, "sh", "{}")
        try checkEqual(run.status, 3, "exit status; \(run.text)")
        for (index, item) in items.enumerated() {
          try check(run.text.contains("[\(index)] <\(item)> \(index) <\(item)>\n"), "item \(index): \(run.text)")
        }
        try check(run.text.contains("stint: index 1 failed on node-"), "the failure: \(run.text)")
        let why = try cluster.stint("why", "score")
        let words = why.text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        try check(words.contains("Failed: indexes 1,3 with exit code 3."), "why: \(why.text)")
        try check(why.text.contains("The last lines of index 1 (\(items[1])), pod/score-1-"), "why: \(why.text)")
        var name = "score"
        for number in 1...2 {
          let retry = try cluster.stint("retry", name, "--failed-indexes")
          try checkEqual(retry.status, 3, "exit status; \(retry.text)")
          let lines = retry.text.split(separator: "\n").filter { $0.hasPrefix("[") }.sorted()
          try checkEqual(
            lines.map(String.init), [1, 3].map { "[\($0)] <\(items[$0])> \($0) <\(items[$0])>" }, "retried items")
          // The copy keeps what its pods need.
          try cluster.must("delete", "job", name)
          name = "score-rerun-\(number)"
        }
        let copy = try cluster.job(name)
        try checkEqual(
          copy[path: ["metadata", "annotations", "stint.dev/rerun-of"]]?.stringValue, "score-rerun-1", "its origin")
      }
    }
  }

  @Test("a program that was brought is executed in an empty working directory, and its exit status is the end")
  func files() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        let program = "\(cluster.directory)/work.sh"
        try Files.writeAtomically(program, Array("#!/bin/sh\necho in $PWD; : >new && ls; exit $CODE\n".utf8))
        chmod(program, 0o755)
        let run = try cluster.stint("run", "-q", "--file", program, "--env", "CODE=7", "--", "./work.sh")
        try checkEqual(run.status, 7, "exit status; \(run.text)")
        try check(run.text.contains("in /stint/work\nnew\nwork.sh\n"), "output: \(run.text)")
        let done = try cluster.stint("run", "-q", "--file", program, "--env", "CODE=0", "--", "./work.sh")
        try checkEqual(done.status, 0, "exit status; \(done.text)")
        let slow = try cluster.stint("run", "-q", "--timeout", "1s", "--", "sleep", "60")
        try checkEqual(slow.status, 124, "exit status when the time is up; \(slow.text)")
      }
    }
  }

  @Test(
    "items and files reach pods of an image that has nothing but a shell",
    .enabled(if: geteuid() == 0, "without root a container's users cannot be the image's"))
  func images() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let scratch = "\(cluster.directory)/images"
        try Files.makeDirectory(scratch)
        let registry = try BoxRegistry(scratch)
        try cluster.startAgent("node-1", ["--images", "on"])
        try cluster.waitForNodes(1)
        let list = "\(cluster.directory)/list"
        try Files.writeAtomically(list, Array("one 'quoted'\n$two\n".utf8))
        let run = try cluster.stint(
          ["run", "--image", registry.name(), "--each", list, "--file", list + ":note"]
            + ["--", "sh", "-c", "echo \"<$1> $(cat note | wc -l) in $PWD\"", "sh", "{}"], within: 120)
        try checkEqual(run.status, 0, "exit status; \(run.text)")
        for line in ["[0] <one 'quoted'> 2 in /stint/work\n", "[1] <$two> 2 in /stint/work\n"] {
          try check(run.text.contains(line), "\(line): \(run.text)")
        }
      }
    }
  }

  @Test("SIGINT in a pipe leaves the Job, which stop ends and which can be run once more without the stop")
  func left() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        let run = try cluster.begin("run", "--name", "long", "--timeout", "1h", "--", "sleep", "600")
        try eventually("it runs", seen: { run.text }) { run.text.contains("started on node-1") }
        kill(run.pid, SIGINT)
        try checkEqual(run.end(within: 20), 130, "exit status; \(run.text)")
        try check(
          run.text.contains(
            "job.batch/long goes on without you. Come back: stint logs -f job/long   End it: stint stop long"),
          "what it says: \(run.text)")
        try checkEqual(cluster.status("long", "active"), 1, "active pods")
        let stop = try cluster.stint("stop", "long")
        try checkEqual(stop.text, "job.batch/long stopped\n", "stop")
        try cluster.must("wait", "job/long", "--for=failed", "--timeout", "30s", "-q")
        let why = try cluster.stint("why", "job/long")
        try check(why.text.hasPrefix("job/long was stopped by hand at "), "why: \(why.text)")
        try checkEqual(cluster.stint("stop", "long").status, 1, "a second stop")
        try cluster.must("retry", "long", "--detach")
        let copy = try cluster.job("long-rerun-1")
        try checkEqual(copy[path: ["spec", "activeDeadlineSeconds"]]?.intValue, 3_600, "its deadline")
        try check(copy[path: ["metadata", "annotations", "stint.dev/stopped"]] == nil, "no mark of the stop")
      }
    }
  }
}
