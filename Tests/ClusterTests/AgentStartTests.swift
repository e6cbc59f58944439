// Starts of an agent with real processes: what a machine that has joined does without, and what is told before a
// coordinator is asked.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("The start of an agent")
struct AgentStartTests {
  /// The data directory of node `here`, which belongs to whom `place` starts programs as, and whose coordinator is
  /// nowhere.
  private static func joined(_ place: StartPlace) throws -> String {
    let data = "\(place.directory)/data"
    try Files.makeDirectory("\(place.directory)/authority/pki")
    try Files.writeAtomically(
      "\(place.directory)/authority/pki/authority.pem",
      try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 3_600 * 24 * 100).file)
    try Identity.issue(node: "here", coordinator: "\(place.directory)/authority").write(directory: "\(data)/identity")
    // Nobody listens on port 1.
    try Files.writeAtomically("\(data)/identity/coordinators", Array("127.0.0.1:1\n".utf8))
    for path in ["", "/identity"] + (try Files.list("\(data)/identity").map({ "/identity/\($0)" })) {
      try place.giveAway(data + path)
    }
    return data
  }

  private static func stop(_ program: Program, _ data: String) throws {
    program.child.signal(SIGUSR1)
    _ = try program.end(within: 30)
    try eventually("its keeper is gone") { !FileLock.isHeld("\(data)/keeper.lock") }
  }

  @Test("a machine that has joined starts whatever became of the token that its unit names, and says what is wrong")
  func tokenOfTheJoined() async throws {
    try await Blocking.run {
      let place = try StartPlace()
      let data = try Self.joined(place)
      func file(_ name: String, _ text: String) throws -> String {
        let path = "\(place.directory)/\(name)"
        try Files.writeAtomically(path, Array(text.utf8))
        try place.giveAway(path)
        return path
      }
      let closed = try file("closed", "stint1.x")
      chmod(closed, 0)
      let cases: [(words: [String], environment: [String], said: String)] = [
        (["--join-file", "\(place.directory)/gone"], [], "/gone: No such file"),
        (["--join-file", try file("empty", "")], [], "/empty: this is no join token"),
        (["--join-file", try file("torn", "stint1.10.0.0.1:7420.ab\ncd.id.ef")], [], "/torn: this is no join token"),
        (["--join-file", place.directory], [], "\(place.directory): Is a directory"),
        (["--join-file", closed], [], "/closed: Permission denied"),
        (["--join", "garbage"], [], "--join: this is no join token"),
        ([], ["STINT_JOIN=stint1.bad"], "STINT_JOIN: this is no join token"),
      ]
      for (words, environment, said) in cases {
        let program = try place.start(["agent", "--data", data] + words, environment: environment)
        defer { try? Self.stop(program, data) }
        try eventually("it looks for its coordinator in spite of \(said)", seen: { program.text }) {
          try check(program.isRunning, program.text)
          return program.text.contains("out of reach")
        }
        let wanted = said.contains("Permission") && geteuid() == 0 && !place.isOther ? "" : said
        try check(program.text.contains(wanted), program.text)
      }
      // Who is to end an agent needs no token either.
      let end = try place.start(["agent", "--data", data, "--stop", "--join-file", "\(place.directory)/gone"])
      try checkEqual(try end.end(within: 30), 0, "status of --stop")
      // One that has not joined is told, with the file's name.
      let fresh = ["agent", "--data", "\(place.directory)/fresh", "--join-file"]
      for (name, said) in [
        ("gone", "/gone: No such file"), ("torn", "/torn: this is no join token: a space or a line"),
      ] {
        let program = try place.start(fresh + ["\(place.directory)/\(name)"])
        try checkEqual(try program.end(within: 30), 1, "status")
        try check(program.text.contains("error: --join-file ") && program.text.contains(said), program.text)
      }
    }
  }

  @Test(
    "whoever starts or stops an agent on another user's data directory is refused, and not sent for a token",
    .enabled(if: geteuid() == 0, "starts programs as another user"))
  func anotherUsersDirectory() async throws {
    try await Blocking.run {
      let place = try StartPlace()
      let data = try Self.joined(place)
      guard chown(data, 0, 0) == 0, chmod(data, 0o700) == 0 else { throw IOError.last("chown", data) }
      for words in [[], ["--stop"], ["--join-file", "\(place.directory)/gone"]] {
        let program = try place.start(["agent", "--data", data] + words)
        try checkEqual(try program.end(within: 30), 1, "status")
        try check(program.text.contains("Permission denied"), program.text)
        try check(!program.text.contains("token"), program.text)
        if words.isEmpty { try check(program.text.contains("start the agent as the user whose"), program.text) }
      }
    }
  }

  @Test("flags that no coordinator or keeper would take are refused before a machine joins")
  func flags() async throws {
    try await Blocking.run {
      let place = try StartPlace()
      let cases = [
        (["--label", "k=v,w"], "a valid label must be an empty string or consist"),
        (["--label", "k=v,w"], "give --label once for each label"),
        (["--label", "-k=v"], "name part must consist of alphanumeric"),
        (["--label", "kubernetes.io/hostname=other"], "change it with --name"),
        (["--frozen-kill", "0s"], "--frozen-kill must be at least 1s"),
        (["--frozen-kill", "-5s"], "--frozen-kill must be at least 1s"),
      ]
      for (words, said) in cases {
        let program = try place.start(["agent", "--data", "\(place.directory)/fresh", "--name", "here"] + words)
        try checkEqual(try program.end(within: 30), 2, "status of \(words)")
        try check(program.text.contains(said), program.text)
      }
    }
  }
}
