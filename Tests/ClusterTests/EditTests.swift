// `label`, `annotate`, `scale`, `edit` and `diff`: their words, what they ask for, and exit statuses, against a
// coordinator that is a closure.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("Small changes of objects")
struct EditTests {
  private static let job: JSON = [
    "apiVersion": "batch/v1", "kind": "Job",
    "metadata": [
      "name": "x", "namespace": "default", "uid": "u", "labels": ["team": "red", "old": "1"],
      "annotations": ["note": "n"], "managedFields": [["manager": "m"]],
    ], "spec": ["parallelism": 2, "suspend": false], "status": [:],
  ]

  private static func run(
    _ line: [String], job: JSON = job, patched: @escaping (APIRequest) -> [APIReply]? = { _ in nil }
  ) -> (FakeCluster, Int32) {
    let cluster = FakeCluster()
    let status = cluster.run(line) { request in
      if request.verb == .patch || request.verb == .create, let replies = patched(request) { return replies }
      if request.verb == .list {
        return [.items([job]), .done(code: 200, object: .object(JSONObject()), warnings: [])]
      }
      return [.done(code: 200, object: request.verb == .get ? job : request.body ?? .null, warnings: [])]
    }
    return (cluster, status)
  }

  @Test(
    "changes that mean nothing are refused before anything is asked",
    arguments: [
      (["label", "job", "x"], "at least one label update is required"),
      (["annotate", "job", "x"], "at least one annotation update is required"),
      (["label", "job", "x", "a=b", "a-"], "cannot both modify and remove the label \"a\""),
      (["label", "job", "x", "a=b", "a=c"], "a stands twice"),
      (["label", "job", "x", "a=b c"], "invalid label value: \"a=b c\""),
      (["label", "job", "x", "-bad-key=1"], "unknown flag -b"), (["label", "job/x", "a/b/c=1"], "invalid key in"),
      (["label", "job", "x", "a=b", "y"], "unknown change \"y\""), (["label", "a=b"], "name an object before"),
    ])
  func refused(line: [String], why: String) {
    let (cluster, status) = Self.run(line)
    #expect(status != 0 && cluster.err.contains(why) && cluster.asked.isEmpty, "\(cluster.err)")
  }

  @Test("labels are set and removed in kubectl's words, and only what differs is sent")
  func labels() {
    func said(_ words: [String]) -> (String, JSON?) {
      let (cluster, status) = Self.run(["label", "jobs", "x"] + words)
      return ("\(status) " + cluster.out + cluster.err, cluster.asked.last { $0.verb == .patch }?.body)
    }
    func patch(_ labels: JSON) -> JSON { ["metadata": ["labels": labels]] }
    #expect(said(["new=2"]) == ("0 job.batch/x labeled\n", patch(["new": "2"])))
    #expect(said(["team=red"]) == ("0 job.batch/x not labeled\n", nil))
    #expect(said(["old-"]) == ("0 job.batch/x unlabeled\n", patch(["old": .null])))
    #expect(said(["none-"]) == ("0 label \"none\" not found.\njob.batch/x not labeled\n", nil))
    #expect(said(["team=blue"]) == ("1 error: 'team' already has a value (red), and --overwrite is false\n", nil))
    #expect(
      said(["team=blue", "old-", "--overwrite"]) == ("0 job.batch/x labeled\n", patch(["team": "blue", "old": .null])))
    #expect(said(["new=2", "--dry-run=client"]) == ("0 job.batch/x labeled (dry run)\n", nil))
  }

  @Test("annotations have their own words, objects may be chosen by label, and all is needed for all")
  func annotations() {
    let (cluster, status) = Self.run(["annotate", "jobs", "-l", "team=red", "note=other words", "--overwrite"])
    #expect(status == 0 && cluster.out == "job.batch/x annotated\n", "\(cluster.err)")
    #expect(cluster.asked.last?.body == ["metadata": ["annotations": ["note": "other words"]]])
    let (refused, code) = Self.run(["annotate", "job/x", "note=b"])
    #expect(code == 1)
    #expect(
      refused.err == "error: --overwrite is false but found the following declared annotation(s): 'note' already has a "
        + "value (n)\n")
    #expect(Self.run(["annotate", "jobs", "a=b"]).1 == 2)
    #expect(Self.run(["annotate", "jobs", "--all", "a=b"]).1 == 0)
  }

  @Test("scale sets parallelism, of Jobs that go on, and as many as were expected")
  func scale() {
    let (cluster, status) = Self.run(["scale", "job/x", "--replicas=7"])
    #expect(status == 0 && cluster.out == "job.batch/x scaled\n", "\(cluster.err)")
    #expect(cluster.asked.last?.body == ["spec": ["parallelism": 7]])
    #expect(Self.run(["scale", "job", "x", "--parallelism", "3", "--current-replicas", "2"]).1 == 0)
    let (unexpected, code) = Self.run(["scale", "job", "x", "--replicas", "3", "--current-replicas", "5"])
    #expect(code == 1 && unexpected.err == "error: Expected replicas to be 5, was 2\n")
    #expect(Self.run(["scale", "job/x"]).1 == 2)
    #expect(Self.run(["scale", "pod/x", "--replicas=1"]).1 == 2)
    var ended = Self.job
    ended[path: ["status", "conditions"]] = [["type": "Complete", "status": "True"]]
    let (over, one) = Self.run(["scale", "job/x", "--replicas=7"], job: ended)
    #expect(one == 1 && over.err == "error: job.batch/x cannot be scaled: it ended as Complete\n")
  }

  @Test("the edited text is a merge patch of what differs; its comments, and what may not change, are seen")
  func editedText() throws {
    var shown = Self.job
    shown[path: ["metadata", "managedFields"]] = nil
    let text = EditText.text(shown.yaml, errors: "not so\u{1b}")
    #expect(text.hasPrefix("# Please edit the object below. Lines beginning with a '#' will be ignored,\n"))
    #expect(text.contains("\n# not so^[\n#\napiVersion: batch/v1\n"))
    #expect(try EditText.patch(from: shown, to: text) == nil)
    #expect(
      try EditText.patch(from: shown, to: text.replacing("parallelism: 2", with: "parallelism: 5"))
        == ["spec": ["parallelism": 5]])
    #expect(
      try EditText.patch(from: shown, to: text.replacing("    old: \"1\"\n", with: ""))
        == ["metadata": ["labels": ["old": .null]]])
    for (edited, why) in [
      (text.replacing("name: x", with: "name: y"), "metadata.name may not change"), ("- 1", "has to be one object"),
      (text + "---\n" + text, "has to be one object"), ("a: [", ""),
    ] {
      do throws(CommandError) {
        let patch = try EditText.patch(from: shown, to: edited)
        Issue.record("\(String(describing: patch))")
      } catch {
        #expect(error.message.contains(why), "\(error.message)")
      }
    }
  }

  /// Runs `stint edit` with an editor that is a shell script; `$1` is the file.
  private static func edit(
    _ script: String, patched: @escaping (APIRequest) -> [APIReply]? = { _ in nil }
  ) throws -> (FakeCluster, Int32) {
    let path = "/tmp/stint-editor-\(getpid())-\(Hexadecimal.text(try Crypto.randomBytes(4)))"
    try Files.writeAtomically(path, Array(("#!/bin/sh\n" + script).utf8))
    chmod(path, 0o755)
    defer { unlink(path) }
    let cluster = FakeCluster()
    cluster.environment = ["EDITOR": path, "PATH": "/usr/bin:/bin"]
    let status = cluster.run(["edit", "job", "x"]) { request in
      if request.verb == .patch, let replies = patched(request) { return replies }
      return [.done(code: 200, object: request.verb == .get ? job : request.body ?? .null, warnings: [])]
    }
    return (cluster, status)
  }

  @Test("an editor's change is sent; no change, an empty file and a failing editor send nothing")
  func edited() throws {
    let (cluster, status) = try Self.edit("sed -i 's/parallelism: 2/parallelism: 9/' \"$1\"")
    #expect(status == 0 && cluster.out == "job.batch/x edited\n", "\(cluster.err)")
    #expect(cluster.asked.last?.body == ["spec": ["parallelism": 9]])
    for (script, code, words) in [
      ("true", 0, "Edit cancelled, no changes made.\n"), (": > \"$1\"", 0, "Edit cancelled, saved file was empty.\n"),
      ("exit 3", 1, "it ended with 3"),
    ] as [(String, Int32, String)] {
      let (fake, status) = try Self.edit(script)
      #expect(status == code && fake.err.contains(words), "\(fake.err)")
      #expect(!fake.asked.contains { $0.verb == .patch })
    }
  }

  @Test("what is refused opens the editor again with the error; saved unchanged it is given up and kept")
  func refusedEdit() throws {
    let script = "grep -q 'is invalid' \"$1\" && exit 0; sed -i 's/parallelism: 2/parallelism: -9/' \"$1\""
    let (cluster, status) = try Self.edit(script) { _ in
      FakeCluster.failure(422, "Invalid", "Job.batch \"x\" is invalid: must be non-negative")
    }
    #expect(status == 1)
    #expect(cluster.asked.filter { $0.verb == .patch }.count == 1)
    let lines = cluster.err.split(separator: "\n")
    #expect(lines.last == "error: Edit cancelled, no valid changes were saved.", "\(cluster.err)")
    let path = try #require(lines.first?.split(separator: "\"").last.map(String.init))
    #expect(try Files.read(path).starts(with: Array("# Please edit".utf8)))
    try Files.removeTree(Files.split(path).parent)
  }

  @Test("diff shows what apply would change; the exit status is 0 for nothing, 1 for something, over 1 for trouble")
  func diff() throws {
    let path = "/tmp/stint-diff-\(getpid()).yaml"
    defer { unlink(path) }
    func run(_ manifest: String, command: String? = nil, answer: JSON?) throws -> (FakeCluster, Int32) {
      try Files.writeAtomically(path, Array(manifest.utf8))
      let cluster = FakeCluster()
      cluster.environment = ["PATH": "/usr/bin:/bin"]
      cluster.environment["KUBECTL_EXTERNAL_DIFF"] = command
      let status = cluster.run(["diff", "-f", path]) { request in
        if request.verb == .get { return [.done(code: 200, object: Self.job, warnings: [])] }
        guard let answer else { return FakeCluster.failure(422, "Invalid", "no") }
        return [.done(code: 200, object: answer, warnings: [])]
      }
      return (cluster, status)
    }
    let manifest = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: x\nspec:\n  parallelism: 5\n"
    var changed = Self.job
    changed[path: ["spec", "parallelism"]] = 5
    // The test's own standard output is not for a diff.
    let quiet = "diff -q >/dev/null"
    #expect(try run(manifest, command: "sh -c 'diff -r \"$@\" >/dev/null' diff", answer: changed).1 == 1)
    let (same, zero) = try run(manifest, command: quiet, answer: Self.job)
    #expect(zero == 0 && same.asked.allSatisfy { $0.verb == .get || $0.options.dryRun }, "\(same.err)")
    let (refused, two) = try run(manifest, command: quiet, answer: nil)
    #expect(two == 2 && refused.err.contains("The request is invalid: no"), "\(refused.err)")
    #expect(try run("kind: Nothing\napiVersion: v9\nmetadata: {name: a}\n", answer: nil).1 > 1)
  }

  @Test("a diff shows of a Secret which values differ, and none of them")
  func secrets() {
    func secret(_ data: JSON) -> JSON { ["kind": "Secret", "metadata": ["name": "s"], "data": data] }
    let live = secret(["kept": "a2VwdA==", "changed": "b2xk", "gone": "Z29uZQ=="])
    var merged = secret(["kept": "a2VwdA==", "changed": "bmV3", "new": "bmV3"])
    merged["stringData"] = ["new": "new"]
    let shown = DiffCommand.masked(live, merged)
    #expect(shown.live?["data"] == ["kept": "***", "changed": "*** (before)", "gone": "***"])
    #expect(shown.merged["data"] == ["kept": "***", "changed": "*** (after)", "new": "***"])
    #expect(shown.merged["stringData"] == nil)
    #expect(DiffCommand.masked(nil, merged).merged["data"] == ["kept": "***", "changed": "***", "new": "***"])
    #expect(DiffCommand.masked(Self.job, Self.job).merged == Self.job)
  }
}
