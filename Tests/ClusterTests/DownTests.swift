// `stint up --detach` and `stint down`: what they find, what they may signal, and what is left.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("A cluster in the background")
struct DownTests {
  private static func inDirectory(_ body: (String) throws -> Void) throws {
    let directory = "/tmp/stint-down-\(getpid())-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
    try Files.makeDirectory("\(directory)/logs")
    defer { try? Files.removeTree(directory) }
    try body(directory)
  }

  private static func run(_ words: [String], _ directory: String) throws -> (status: Int32, text: String) {
    let output = "\(directory)/logs/client-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
    let program = try Program(words, environment: ["HOME=\(directory)"], output: output)
    return (try program.end(within: 120), program.text)
  }

  @Test("a record of a process that holds no lock is no cluster, and the process is left alone")
  func staleRecord() async throws {
    try await Blocking.run {
      try Self.inDirectory { directory in
        let bystander = try Program(["600"], path: "/bin/sleep", output: "\(directory)/logs/sleep")
        defer { bystander.child.signal(SIGKILL) }
        let process = try found(ClusterIO.ProcessIdentity.read(pid: bystander.pid), "the bystander")
        try UpRecord(
          process: process, place: UpRecord.here(), server: "127.0.0.1:1", nodes: ["node-1"], isDetached: true
        ).write(directory)
        try Files.writeAtomically(UpRecord.lock(directory), Array("\(bystander.pid)\n".utf8))
        let result = try Self.run(["down", "--data", directory], directory)
        try checkEqual(result.status, 0, result.text)
        try checkEqual(result.text, "no cluster of `stint up` runs on \(directory)\n", "what it said")
        try check(bystander.isRunning, "the bystander was ended")
      }
    }
  }

  @Test("who holds the lock is known by lock, record and /proc together, and else it is said that it is not known")
  func states() async throws {
    try await Blocking.run {
      try Self.inDirectory { directory in
        try checkEqual(UpState.of("\(directory)/none"), .none, "no directory")
        let lock = try FileLock(path: UpRecord.lock(directory))
        defer { lock.release() }
        let own = try UpRecord.own(server: "s", nodes: ["a"], isDetached: true)
        try checkEqual(UpState.of(directory), .running(own.process, record: nil), "one that starts")
        try own.write(directory)
        try checkEqual(UpState.of(directory), .running(own.process, record: own), "one that runs")
        var former = own
        former.process = ClusterIO.ProcessIdentity(pid: own.process.pid, startTime: own.process.startTime + 1)
        try former.write(directory)
        try checkEqual(UpState.of(directory), .running(own.process, record: nil), "another one's record")
        var elsewhere = own
        elsewhere.place = "another"
        try elsewhere.write(directory)
        guard case .unknown(let why) = UpState.of(directory) else { throw Failure("a place elsewhere is believed") }
        try check(why.contains("another container"), why)
        let refused = try Self.run(["down", "--data", directory], directory)
        try check(refused.status == 1 && refused.text.contains("end it where, and as the user"), refused.text)
        try Files.writeAtomically(UpRecord.file(directory), Array("{\"pid\": -1".utf8))
        try checkEqual(UpState.of(directory), .running(own.process, record: nil), "a damaged record")
      }
    }
  }

  @Test("who may not look into the directory is told so, and not that nothing runs there")
  func closed() async throws {
    try await Blocking.run {
      try Self.inDirectory { directory in
        try Files.writeAtomically("\(directory)/file", [])
        // Not a directory is as one that is not there; a name that is too long is an error as any other.
        try checkEqual(UpState.of("\(directory)/file"), .none, "below a file")
        guard case .unknown = UpState.of("\(directory)/" + String(repeating: "x", count: 300)) else {
          throw Failure("an error is taken for nothing")
        }
      }
    }
  }

  @Test("words of a record that mean nothing make none")
  func records() {
    for bad in [
      [:], ["pid": 0, "startTime": "1", "place": "p"], ["pid": 99_999_999_999, "startTime": "1", "place": "p"],
      ["pid": 1, "startTime": "-1", "place": "p"], ["pid": 1, "startTime": 1, "place": "p"],
      ["pid": 1, "startTime": "1"], ["pid": "1", "startTime": "1", "place": "p"], .null, [],
    ] as [JSON] {
      #expect(UpRecord(json: bad) == nil, "\(bad)")
    }
  }

  @Test("one that does not come up is told with the last it said, ends with 1, and leaves nothing")
  func taken() async throws {
    try await Blocking.run {
      try Self.inDirectory { directory in
        let loop = try EventLoop()
        let other = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { $0.close() }
        defer { other.close() }
        let data = "\(directory)/new/data"
        let result = try Self.run(
          ["up", "--detach", "--data", data, "--listen", other.address.description], directory)
        try checkEqual(result.status, 1, result.text)
        try check(result.text.hasPrefix("error: listen on \(other.address)"), result.text)
        try check(result.text.contains("the cluster did not come up (exit code 1)"), result.text)
        try check(!Files.exists("\(directory)/new"), "it left directories")
        let open = try Self.run(["up", "-d", "--data", data, "--listen", "0.0.0.0:1"], directory)
        try check(open.status == 2 && open.text.contains("only loopback addresses"), open.text)
      }
    }
  }

  private static func up(_ cluster: TestCluster) throws -> (status: Int32, text: String) {
    try run(
      [
        "up", "--detach", "--agents", "2", "--data", cluster.directory, "--listen", cluster.server, "--images=off",
        "--restart=false",
      ], cluster.directory)
  }

  @Test("it comes up, a second one tells of it, and down ends it with its pods, and nothing is left")
  func upAndDown() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: [])
      defer { cluster.end() }
      let first = try Self.up(cluster)
      try check(
        first.status == 0 && first.text.contains("The cluster is up: coordinator at \(cluster.server)"), first.text)
      for part in [
        "node-1, node-2", "stint down --data \(cluster.directory)", "tail -f \(cluster.directory)/logs/up.log",
      ] {
        try check(first.text.contains(part), first.text)
      }
      try cluster.apply(cluster.manifest("long", .untilTold))
      try eventually("the pod signs") { cluster.ledger.attempts.count == 1 }
      let second = try Self.up(cluster)
      try check(
        second.status == 0 && second.text.contains("A cluster runs on \(cluster.directory) already"), second.text)
      let pods = Processes.shells(with: cluster.mark)
      try checkEqual(pods.count, 1, "pods")

      let down = try Self.run(["down", "--data", cluster.directory], cluster.directory)
      try checkEqual(down.status, 0, down.text)
      try check(
        down.text.contains("ended: coordinator at \(cluster.server), nodes node-1, node-2 (process "), down.text)
      try check(pods.allSatisfy { !Processes.isAlive($0) }, "a pod goes on")
      let left = Processes.mentioning(cluster.directory)
      try check(left.isEmpty, "still running: \(left)")
      try check(!Files.exists(UpRecord.file(cluster.directory)), "its record is left")
      let again = try Self.run(["down", "--data", cluster.directory], cluster.directory)
      try check(again.status == 0 && again.text.hasPrefix("no cluster"), again.text)
    }
  }

  @Test("what one that was killed has left is ended too, and said")
  func killed() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: [])
      defer { cluster.end() }
      let first = try Self.up(cluster)
      try checkEqual(first.status, 0, first.text)
      guard case .running(let process, _) = UpState.of(cluster.directory) else { throw Failure("none runs") }
      try checkEqual(kill(process.pid, SIGKILL), 0, "killing it")
      try eventually("it is gone") { UpState.of(cluster.directory) == .none }
      let down = try Self.run(["down", "--data", cluster.directory, "--force"], cluster.directory)
      try checkEqual(down.status, 0, down.text)
      try check(
        down.text.contains("ended: node-1, node-2, coordinator, which an `up` that was killed had left"), down.text)
      let left = Processes.mentioning(cluster.directory)
      try check(left.isEmpty, "still running: \(left)")
    }
  }

  @Test("Ctrl-C while it starts ends what was started")
  func interrupted() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: [])
      defer { cluster.end() }
      let program = try Program(
        ["up", "--detach", "--agents", "1", "--data", cluster.directory, "--listen", cluster.server, "--images=off"],
        output: "\(cluster.directory)/up")
      try eventually("it has begun") { Files.exists("\(cluster.directory)/up.lock") }
      program.child.signal(SIGINT)
      // It may have come up just before.
      let status = try program.end(within: 60)
      try check(status == 130 || program.text.contains("The cluster is up"), "\(status): \(program.text)")
      if status != 130 { _ = try Self.run(["down", "--data", cluster.directory], cluster.directory) }
      let left = Processes.mentioning(cluster.directory)
      try check(left.isEmpty, "still running: \(left); \(program.text)")
    }
  }
}
