// Commands against a coordinator that is a closure: what they ask, what they say, and their exit statuses.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

/// Answers requests from a function and keeps what was asked and printed.
final class FakeCluster {
  var asked: [APIRequest] = []
  var out = ""
  var err = ""
  var environment: [String: String] = [:]

  func run(_ line: [String], _ answer: @escaping (APIRequest) -> [APIReply]) -> Int32 {
    let console = Console(
      out: { self.out += $0 }, err: { self.err += $0 }, raw: { self.out += String(decoding: $0, as: UTF8.self) })
    return Stint.run(line, environment: environment, console: console) { context in
      Cluster(console: context.console, greeting: { throw CommandError("no greeting") }) { exchange, receive in
        var requests = exchange.requests
        var position = 0
        while position < requests.count {
          self.asked.append(requests[position])
          let replies = answer(requests[position])
          for reply in replies where try receive(position, reply) == .enough { return .enough }
          if replies.isEmpty { return .timedOut }
          position += 1
          if position == requests.count { requests += exchange.more?() ?? [] }
        }
        return .done
      }
    }
  }

  static func failure(_ code: Int, _ reason: String, _ message: String) -> [APIReply] {
    let status: JSON = [
      "kind": "Status", "code": .int(Int64(code)), "reason": .string(reason), "message": .string(message),
    ]
    return [.done(code: code, object: status, warnings: [])]
  }
}

@Suite("Commands ask, say and exit as documented")
struct CommandLineClusterTests {
  private func job(_ condition: String?, reason: String = "R", uid: String = "u1") -> JSON {
    var job: JSON = ["kind": "Job", "metadata": ["name": "x", "uid": .string(uid)], "status": [:]]
    if let condition {
      job[path: ["status", "conditions"]] = [
        ["type": .string(condition), "status": "True", "reason": .string(reason), "message": "why"]
      ]
    }
    return job
  }

  @Test(
    "a wait knows when it is met and when it never will be",
    arguments: [
      ("complete", "Complete", "met"), ("complete", "Failed", "ended"), ("complete", nil, "pending"),
      ("complete", "FailureTarget", "pending"), ("failed", "Failed", "met"), ("failed", "Complete", "ended"),
      ("finished", "Failed", "met"), ("finished", "Complete", "met"), ("finished", "Suspended", "pending"),
      ("suspended", "Suspended", "met"), ("suspended", "Complete", "ended"), ("delete", "Complete", "pending"),
      ("condition=Complete", "Complete", "met"), ("condition=complete=true", "Failed", "ended"),
      ("condition=Suspended=False", "Suspended", "pending"), ("condition=Other", "Other", "met"),
    ] as [(String, String?, String)])
  func decisions(goal: String, condition: String?, expected: String) throws {
    let decision = try #require(WaitGoal(goal)).decide(job(condition))
    switch decision {
    case .met: #expect(expected == "met")
    case .pending: #expect(expected == "pending")
    case .endedOtherwise(let why):
      #expect(expected == "ended")
      #expect(why.contains("(R: why)"))
    }
  }

  @Test("printed manifests are parted by ---, and one alone has none")
  func printedManifests() throws {
    let path = "/tmp/stint-manifest-\(getpid()).yaml"
    defer { unlink(path) }
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: default\n"
    for count in 1...2 {
      let text = Array(repeating: map, count: count).joined(separator: "---\n")
      try Files.writeAtomically(path, Array(text.utf8))
      let cluster = FakeCluster()
      #expect(cluster.run(["create", "-f", path, "--dry-run=client", "-o", "yaml"]) { _ in [] } == 0)
      #expect(cluster.out == text)
      #expect(cluster.asked.isEmpty)
    }
  }

  @Test("what is gone meets only a wait for deletion; a pod's end is its phase")
  func gone() throws {
    #expect(WaitGoal.deletion.decide(nil) == .met)
    #expect(WaitGoal.complete.decide(nil) == .endedOtherwise("it does not exist any more"))
    #expect(WaitGoal.complete.decide(["kind": "Pod", "status": ["phase": "Succeeded"]]) == .met)
    #expect(WaitGoal.finished.decide(["kind": "Pod", "status": ["phase": "Running"]]) == .pending)
    for text in ["", "done", "condition", "condition=", "complete=x"] { #expect(WaitGoal(text) == nil, "\(text)") }
  }

  @Test("wait exits 0 when met, 1 when it ended otherwise, 124 on timeout, 2 for wrong usage")
  func waitExits() {
    func exit(_ line: [String], first: JSON, then: [APIReply]) -> (Int32, FakeCluster) {
      let fake = FakeCluster()
      let status = fake.run(["wait"] + line) { request in
        if request.verb == .watch { return then }
        return [.items([first]), .done(code: 200, object: ["metadata": ["resourceVersion": "7"]], warnings: [])]
      }
      return (status, fake)
    }
    let running = job(nil)
    var (status, fake) = exit(["job/x"], first: running, then: [.event(type: "MODIFIED", object: job("Complete"))])
    #expect(status == 0)
    #expect(fake.out == "job.batch/x condition met\n")
    #expect(fake.asked.last?.options.resourceVersion == "7")
    (status, fake) = exit(["job/x"], first: running, then: [.event(type: "MODIFIED", object: job("Failed"))])
    #expect(status == 1)
    #expect(fake.err == "error: job.batch/x: it ended as Failed (R: why)\n")
    (status, fake) = exit(["job/x"], first: running, then: [.event(type: "DELETED", object: running)])
    #expect(status == 1)
    (status, fake) = exit(["job/x", "--for=delete"], first: running, then: [.event(type: "DELETED", object: running)])
    #expect(status == 0)
    (status, fake) = exit(["job/x", "--for=finished"], first: job("Failed"), then: [])
    #expect(status == 0)
    (status, fake) = exit(["job/x", "--timeout=1h"], first: running, then: [])
    #expect(status == 124)
    #expect(fake.err == "error: timed out waiting for the condition on jobs/x\n")
    (status, fake) = exit(
      ["job/x", "--timeout=0"], first: running, then: [.event(type: "MODIFIED", object: job("Complete"))])
    #expect(status == 124)
    for line in [["job/x", "--for=done"], ["jobs"], ["jbs/x"], []] {
      #expect(exit(line, first: running, then: []).0 == 2, "\(line)")
    }
  }

  @Test("another object with the name is not the one waited for")
  func recreated() {
    let fake = FakeCluster()
    let status = fake.run(["wait", "job/x"]) { request in
      request.verb == .watch
        ? [.event(type: "ADDED", object: job("Complete", uid: "u2"))]
        : [.items([job(nil)]), .done(code: 200, object: [:], warnings: [])]
    }
    #expect(status == 1)
  }

  @Test("get prints rows, says when there are none, and goes on past a name that is missing")
  func get() {
    let fake = FakeCluster()
    let table: JSON = ["kind": "Table", "columnDefinitions": [["name": "Name", "priority": 0]]]
    func rows(_ names: String...) -> [JSON] { names.map { ["cells": [.string($0)]] } }
    let status = fake.run(["get", "jobs", "a", "b"]) { request in
      request.name == "b"
        ? FakeCluster.failure(404, "NotFound", "jobs.batch \"b\" not found")
        : [.items(rows("a")), .done(code: 200, object: table, warnings: ["old"])]
    }
    #expect(status == 1)
    #expect(fake.out == "NAME\na\n")
    #expect(fake.err == "Warning: old\nError from server (NotFound): jobs.batch \"b\" not found\n")
    let empty = FakeCluster()
    #expect(empty.run(["get", "pods", "-n", "kiada"]) { _ in [.done(code: 200, object: table, warnings: [])] } == 0)
    #expect(empty.err == "No resources found in kiada namespace.\n")
    #expect(empty.asked.first?.form == .table && empty.asked.first?.namespace == "kiada")
  }

  @Test("delete sends its options, names what it deleted and waits for that very object")
  func delete() {
    let fake = FakeCluster()
    let status = fake.run(["delete", "job", "x", "--cascade=orphan", "--grace-period", "3"]) { request in
      switch request.verb {
      case .delete: [.done(code: 200, object: ["details": ["uid": "u1"]], warnings: [])]
      case .list: [.items([job(nil)]), .done(code: 200, object: ["metadata": ["resourceVersion": "5"]], warnings: [])]
      default: [.event(type: "ADDED", object: job(nil, uid: "u2"))]
      }
    }
    #expect(status == 0)
    #expect(fake.out == "job.batch \"x\" deleted\n")
    #expect(fake.asked.map(\.verb) == [.delete, .list, .watch])
    #expect(fake.asked[0].options.propagationPolicy == "Orphan")
    #expect(fake.asked[0].options.gracePeriodSeconds == 3)
  }

  @Test("suspend and resume of a Job that is finished change nothing and say that it is over")
  func suspendFinished() {
    for (verb, word) in [("suspend", "suspended"), ("resume", "resumed")] {
      let fake = FakeCluster()
      let status = fake.run([verb, "x"]) { _ in [.done(code: 200, object: job("Complete"), warnings: [])] }
      #expect(status == 1)
      #expect(fake.out == "")
      #expect(fake.err == "error: job.batch/x cannot be \(word): it ended as Complete (R: why)\n")
      #expect(fake.asked.map(\.verb) == [.get])
    }
  }

  @Test("a --sort-by that no object has is an error in kubectl's words")
  func sortByNothing() {
    let fake = FakeCluster()
    let status = fake.run(["get", "jobs", "--sort-by", "bogus", "-o", "name"]) { _ in
      [.items([job(nil)]), .done(code: 200, object: ["metadata": [:]], warnings: [])]
    }
    #expect(status == 1)
    #expect(fake.err == "error: couldn't find any field with path \"{.bogus}\" in the list of objects\n")
  }

  @Test("suspend changes a running Job only")
  func suspend() {
    let fake = FakeCluster()
    let status = fake.run(["suspend", "a", "job/b", "c"]) { request in
      if request.name == "c" { return FakeCluster.failure(404, "NotFound", "jobs.batch \"c\" not found") }
      return [.done(code: 200, object: ["spec": ["suspend": .bool(request.name == "b")]], warnings: [])]
    }
    #expect(status == 1)
    #expect(fake.out == "job.batch/a suspended\njob.batch/b already suspended\n")
    #expect(fake.asked.filter { $0.verb == .patch }.map(\.body) == [["spec": ["suspend": true]]])
  }

  @Test("a write whose answer was lost is not sent again, a read is")
  func lostAnswers() throws {
    var sent = 0
    let cluster = Cluster(
      console: Console(out: { _ in }, err: { _ in }), greeting: { throw CommandError("none") }
    ) { _, receive in
      sent += 1
      if sent == 1 { return .lost("closed by the other side") }
      _ = try receive(0, .done(code: 200, object: ["kind": "Job"], warnings: []))
      return .done
    }
    #expect(try cluster.get(.jobs, "default", "x") == ["kind": "Job"])
    #expect(sent == 2)
    sent = 0
    let error = #expect(throws: CommandError.self) {
      try cluster.send(APIRequest(verb: .create, kind: .jobs, namespace: "default", body: [:]))
    }
    #expect(error?.message.contains("look before you repeat it") == true)
    #expect(sent == 1)
  }
}
