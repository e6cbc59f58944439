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
        (["--frozen-kill", "0s"], "--frozen-kill: \"0s\" is not a duration from 1s to 365d"),
        (["--eviction-hard", "memory.available<1Pi"], "the node would never take a pod"),
      ]
      for (words, said) in cases {
        let program = try place.start(["agent", "--data", "\(place.directory)/fresh", "--name", "here"] + words)
        try checkEqual(try program.end(within: 30), 2, "status of \(words)")
        try check(program.text.contains(said), program.text)
      }
    }
  }

  @Test("an agent waits for the authority of --authority, says so with the path, and does without where it can")
  func authorityThatIsNotThere() async throws {
    try await Blocking.run {
      let place = try StartPlace()
      let data = try Self.joined(place)
      let missing = "\(place.directory)/nosuch"
      func start(_ name: String, _ authority: String, _ more: [String] = []) throws -> Program {
        try place.start(
          ["agent", "--data", name, "--name", "here", "--authority", authority, "--coordinator", "127.0.0.1:1"] + more)
      }
      // In vain for half a minute.
      let lost = try start("\(place.directory)/lost", missing)
      // One that comes later.
      let late = try start("\(place.directory)/late", "\(place.directory)/soon")
      try eventually("it waits", seen: { late.text }) {
        late.text.contains(
          "waiting for a coordinator to make its authority: open \(place.directory)/soon/pki/authority")
      }
      try Files.makeDirectory("\(place.directory)/soon/pki")
      for path in ["soon", "soon/pki"] { try place.giveAway("\(place.directory)/\(path)") }
      let authority = "\(place.directory)/soon/pki/authority.pem"
      try Files.writeAtomically(
        authority + ".x", try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 3_600 * 24 * 100).file)
      try place.giveAway(authority + ".x")
      guard rename(authority + ".x", authority) == 0 else { throw IOError.last("rename", authority) }
      try eventually("it has an identity and looks for its coordinator", seen: { late.text }) {
        late.text.contains("out of reach")
      }
      try Self.stop(late, "\(place.directory)/late")
      // Who is a node already needs none; its own identity stays.
      let before = try Identity(directory: "\(data)/identity")
      for (authority, said) in [(missing, "No such file or directory"), ("\(place.directory)/soon", "is of authority")]
      {
        let program = try start(data, authority)
        try eventually("it goes on without", seen: { program.text }) { program.text.contains("out of reach") }
        try check(program.text.contains("--authority \(authority) is not used"), program.text)
        try check(program.text.contains(said), program.text)
        try Self.stop(program, data)
        try check(try Identity(directory: "\(data)/identity") == before, "the identity is another one")
      }
      try checkEqual(try lost.end(within: 60), 1, "status")
      try check(lost.text.contains("\(missing)/pki/authority.pem: No such file or directory"), lost.text)
      try check(lost.text.contains("start the agent with a token instead: stint token create"), lost.text)
    }
  }

  @Test("an agent that has its identity from a coordinator's directory finds it where that one says that it is")
  func announced() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let data = cluster.dataDirectory("node-1")
        let authority = "\(cluster.directory)/coordinator"
        let agent = try Program(
          ["agent", "--data", data, "--name", "node-1", "--authority", authority],
          output: "\(cluster.directory)/logs/announced")
        defer { try? Self.stop(agent, data) }
        try eventually("node-1 is Ready", seen: { agent.text }) { try cluster.isReady("node-1") }
      }
    }
  }

  @Test("a coordinator.json that says no address is told with what to do, and one that is not there with what is asked")
  func unannounced() async throws {
    try await Blocking.run {
      let place = try StartPlace()
      let data = try Self.joined(place)
      let (authority, file) = ("\(place.directory)/authority", "\(place.directory)/authority/coordinator.json")
      for path in ["", "/pki", "/pki/authority.pem"] { try place.giveAway(authority + path) }
      let fresh = ["agent", "--data", "\(place.directory)/fresh", "--name", "here", "--authority", authority]
      let missing = try place.start(fresh)
      try eventually("it tells where it looks", seen: { missing.text }) {
        missing.text.contains("there is no \(file)") && missing.text.contains("looked for at 127.0.0.1:7420")
      }
      try Self.stop(missing, "\(place.directory)/fresh")
      try Files.writeAtomically(file, Array(#"{"address":"127.0.0.1:1"}"#.utf8))
      for damage in Damage.allCases {
        try place.with(damage, of: "authority/coordinator.json") {
          if damage == .unreadable, !place.isOther { return }
          let program = try place.start(fresh)
          try checkEqual(try program.end(within: 30), 1, "status with \(damage)")
          try check(program.text.contains(file) && program.text.contains("--coordinator HOST:PORT"), program.text)
          // Who knows another address goes on.
          let known = try place.start(["agent", "--data", data, "--authority", authority])
          try eventually("it goes on with \(damage)", seen: { known.text }) { known.text.contains("out of reach") }
          try Self.stop(known, data)
          try check(known.text.contains("Warning: ") && known.text.contains("\(file): "), known.text)
        }
      }
      for text in ["{}", #"{"address":"127.0.0.1:99999"}"#, #"{"address":"127.0.0.1:0"}"#, #"{"address":7420}"#, "[]"] {
        try Files.writeAtomically(file, Array(text.utf8))
        try place.giveAway(file)
        let program = try place.start(fresh)
        try checkEqual(try program.end(within: 30), 1, "status with \(text)")
        try check(program.text.contains("\(file): says no address HOST:PORT: start that"), program.text)
      }
    }
  }

  @Test("why no address leads to a session is told of each of them: refused, silent, of another authority")
  func eachAddress() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let data = cluster.dataDirectory("node-1")
        try Files.makeDirectory("\(cluster.directory)/other/pki")
        try Files.writeAtomically(
          "\(cluster.directory)/other/pki/authority.pem",
          try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 3_600 * 24 * 100).file)
        try Identity.issue(node: "node-1", coordinator: "\(cluster.directory)/other").write(
          directory: "\(data)/identity")
        // Takes connections and says nothing.
        let loop = try EventLoop()
        let silent = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { $0.setReading(false) }
        defer { silent.close() }
        let addresses = ["127.0.0.1:1", "\(silent.address)", cluster.server]
        try Files.writeAtomically("\(data)/identity/coordinators", Array(addresses.joined(separator: "\n").utf8))
        let agent = try cluster.join("node-1", "")
        let line =
          "127.0.0.1:1: Connection refused; \(silent.address): no answer in 5 s; \(cluster.server): the coordinator's "
          + "certificate is of no authority that is believed here: either this is another cluster's address"
        try eventually("it says of all of them", seconds: 60, seen: { agent.text }) { agent.text.contains(line) }
        try checkEqual(agent.text.split(separator: "\n").count { $0.contains("127.0.0.1:1: ") }, 2, "lines")
      }
    }
  }
}
