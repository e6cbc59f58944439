// `stint guard` with real processes: who is let through, who is not, who waits, and what becomes of a command's status.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A command is guarded by a token")
struct GuardCommandTests {
  private struct Place {
    let directory: String
    var file: String { "\(directory)/token" }

    func begin(_ words: [String], environment: [String] = []) throws -> Program {
      let output = "\(directory)/out-\(Hexadecimal.text(try Crypto.randomBytes(4)))"
      return try Program(["guard"] + words, environment: environment, output: output)
    }

    func run(_ words: [String], environment: [String] = []) throws -> (status: Int32, text: String) {
      let program = try begin(words, environment: environment)
      return (try program.end(within: 60), program.text)
    }

    private var pipe: String { "\(directory)/pipe" }

    /// Begins a command that has the lock until `letGo`.
    func hold(token: Int64) throws -> Program {
      let began = "\(directory)/began"
      guard mkfifo(pipe, 0o600) == 0 else { throw IOError.last("mkfifo", pipe) }
      // It waits for the pipe's other end.
      let program = try begin([
        "--token", "\(token)", file, "--", "sh", "-c", "touch '\(began)'; read x <'\(pipe)'",
      ])
      try eventually("the first one runs") { Files.exists(began) }
      return program
    }

    func letGo() {
      let descriptor = open(pipe, O_WRONLY | O_CLOEXEC)
      _ = Glibc.write(descriptor, "x\n", 2)
      close(descriptor)
    }
  }

  private func inPlace(_ body: @escaping @Sendable (Place) throws -> Void) async throws {
    try await Blocking.run(isBusy: false) {
      let place = Place(directory: "/tmp/stint-guard-\(Hexadecimal.text(try Crypto.randomBytes(6)))")
      try Files.makeDirectory(place.directory)
      defer { try? Files.removeTree(place.directory) }
      try body(place)
    }
  }

  /// Whether the process has the file open: then it has the lock or waits for it.
  private static func hasOpen(_ path: String, _ pid: Int32) -> Bool {
    guard let file = try? Files.status(path) else { return false }
    return ((try? Files.list("/proc/\(pid)/fd")) ?? []).contains { descriptor in
      guard let other = try? Files.status("/proc/\(pid)/fd/\(descriptor)") else { return false }
      return other.device == file.device && other.inode == file.inode
    }
  }

  @Test("the newest attempt and who has its token go on, an older one never again")
  func order() async throws {
    try await inPlace { place in
      let command = [place.file, "--", "echo", "ran"]
      for token in ["7", "7", "12"] {
        let result = try place.run(command, environment: ["STINT_FENCING_TOKEN=\(token)"])
        try checkEqual(result.status, 0, "status with token \(token)")
        try checkEqual(result.text, "ran\n", "output")
      }
      let old = try place.run(command, environment: ["STINT_FENCING_TOKEN=11"])
      try checkEqual(old.status, 77, "status of the older one")
      try check(old.text.contains("has seen token 12, and this is attempt 11"), old.text)
      try check(!old.text.contains("ran\n"), old.text)
      let given = try place.run(["--token", "13"] + command, environment: ["STINT_FENCING_TOKEN=1"])
      try checkEqual(given.status, 0, "status with a token of its own")
    }
  }

  @Test("the exit status is the command's, a shell's where there is no such command, and 143 for a signal")
  func statuses() async throws {
    try await inPlace { place in
      func status(_ command: String...) throws -> Int32 {
        try place.run(["--token", "1", place.file, "--"] + command).status
      }
      try checkEqual(try status("sh", "-c", "exit 42"), 42, "its own")
      try checkEqual(try status("/nowhere/at-all"), 127, "none")
      try checkEqual(try status("/etc/passwd"), 126, "no program")
      try checkEqual(try status("sh", "-c", "kill -TERM $$"), 143, "ended by a signal")
    }
  }

  @Test("what is no token, no file and no command is said")
  func errors() async throws {
    try await inPlace { place in
      let none = try place.run([place.file, "--", "true"], environment: ["STINT_FENCING_TOKEN=x y"])
      try checkEqual(none.status, 2, "status")
      try check(none.text.contains("STINT_FENCING_TOKEN is \"x y\", which is no token"), none.text)
      let alone = try place.run(["--token", "1", place.file])
      try checkEqual(alone.status, 2, "status without a command")
      try Files.writeAtomically(place.file, Array("my notes\n".utf8))
      let foreign = try place.run(["--token", "1", place.file, "--", "true"])
      try checkEqual(foreign.status, 1, "status of another file")
      try check(foreign.text.contains("it holds something else than a fencing token"), foreign.text)
      try checkEqual(String(decoding: try Files.read(place.file), as: UTF8.self), "my notes\n", "the file")
    }
  }

  @Test("commands under one file never run beside each other; who waits has as long as it says")
  func waits() async throws {
    try await inPlace { place in
      let first = try place.hold(token: 3)
      let busy = try place.run(["--token", "4", "--timeout", "200ms", place.file, "--", "echo", "ran"])
      try checkEqual(busy.status, 75, "status of who does not wait")
      try check(busy.text.contains("is still held by another command"), busy.text)
      let second = try place.begin(["--token", "4", place.file, "--", "echo", "ran"])
      place.letGo()
      try checkEqual(try first.end(within: 60), 0, "the first one")
      try checkEqual(try second.end(within: 60), 0, "the second one")
      try checkEqual(second.text, "ran\n", "output")
      try checkEqual(try place.run(["--token", "3", place.file, "--", "true"]).status, 77, "the first one again")
    }
  }

  @Test("a command that closes all its descriptors is guarded nevertheless, and gets the signals that guard gets")
  func closing() async throws {
    try await inPlace { place in
      let began = "\(place.directory)/began"
      let script = "for n in 3 4 5 6 7 8 9; do eval \"exec $n>&-\"; done; touch '\(began)'; exec sleep 300"
      let first = try place.begin(["--token", "3", place.file, "--", "sh", "-c", script])
      try eventually("the first one runs") { Files.exists(began) }
      let busy = try place.run(["--token", "4", "--timeout", "100ms", place.file, "--", "true"])
      try checkEqual(busy.status, 75, "status beside it")
      first.child.signal(SIGTERM)
      try checkEqual(try first.end(within: 60), 143, "status of who was ended")
      try checkEqual(try place.run(["--token", "4", place.file, "--", "true"]).status, 0, "status after it")
    }
  }

  @Test("who waited for a file that was replaced meanwhile asks the one that is there")
  func replaced() async throws {
    try await inPlace { place in
      let first = try place.hold(token: 5)
      let waiting = try place.begin(["--token", "6", place.file, "--", "echo", "ran"])
      try eventually("the second one waits") { Self.hasOpen(place.file, waiting.pid) }
      try checkEqual(rename(place.file, "\(place.directory)/old"), 0, "rename")
      try checkEqual(try place.run(["--token", "9", place.file, "--", "true"]).status, 0, "status in the new file")
      place.letGo()
      try checkEqual(try first.end(within: 60), 0, "the first one")
      try checkEqual(try waiting.end(within: 60), 77, "who waited: \(waiting.text)")
    }
  }
}
