// Owns: machines for tests: namespaces with addresses, host names, machine ids, boot ids and disks of their own, joined
// by a bridge (compose/machines.sh makes them). Links can be cut, narrowed and made one-way, power can fail.
// It must not know what runs on them. All of it hangs on two pipes of this process: it ends with it, however it ends.

import ClusterIO
import ClusterProto
import Glibc

final class Machines {
  /// Whether this process may make machines: it is root, and the kernel and its tools have what they take.
  static let areAvailable: Bool = {
    guard geteuid() == 0, let machines = try? Machines(["trial"]) else { return false }
    machines.end()
    return true
  }()
  static let requirement: String = "machines need root, ip, nsenter, a bridge and overlay mounts"

  private static let script: String = {
    let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
    return "/\(root)/compose/machines.sh"
  }()

  let directory: String
  private let names: [String]
  private var holders: [String: Child] = [:]
  /// Open as long as everything is to live.
  private var lifeline: [Int32] = [-1, -1]
  private var runs = 0

  /// Boots machines of these names, the first of which has the address that ends in 1.
  init(_ names: [String]) throws {
    self.names = names
    directory = "/tmp/stint-machines-\(getpid())-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
    try Files.makeDirectory("\(directory)/logs")
    guard pipe(&lifeline) == 0 else { throw IOError.last("pipe") }
    // Another test's child must not hold it open.
    for descriptor in lifeline { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    do {
      try hold("switch", ["switch", directory])
      for name in names { try boot(name) }
    } catch {
      end()
      throw error
    }
  }

  // Machines.

  /// Starts a machine that is off; it finds its disk as it was and has a new boot id.
  func boot(_ name: String) throws { try hold(name, ["machine", directory, name, String(number(name))]) }

  /// Every process of it dies at once.
  func powerOff(_ name: String) throws {
    try command("off", name)
    try waitForEnd(name)
  }

  func address(_ name: String) -> String { "10.0.0.\(number(name))" }
  func address6(_ name: String) -> String { "fd00::\(number(name))" }
  /// What it sees at `path`, which must be on its own disk (`/var`, `/etc`, `/root`, `/home`).
  func path(_ name: String, _ path: String) -> String { "\(directory)/disks/\(name)\(path)" }
  /// A directory that all machines have as /mnt/shared.
  var shared: String { "\(directory)/shared" }

  /// The namespace of its network, for a thread that joins it.
  func network(_ name: String) throws -> String {
    "/proc/\(try Files.readLine("\(directory)/pids/\(name)"))/ns/net"
  }

  private func number(_ name: String) -> Int { (names.firstIndex(of: name) ?? -1) + 1 }

  private func hold(_ name: String, _ words: [String]) throws {
    let output = open("\(directory)/logs/\(name)", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard output >= 0 else { throw IOError.last("open", name) }
    defer { close(output) }
    var options = Child.Options(
      path: "/bin/bash", arguments: ["bash", Self.script] + words,
      environment: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "STINT=\(Processes.program)"])
    options.descriptors = [0: lifeline[0], 1: output, 2: output]
    let child = try Child(options)
    holders[name] = child
    try eventually("\(name) is there", every: 10, seen: { self.log(name) }) {
      try check(child.reap() == nil, "\(name) ended: \(log(name))")
      return Files.exists("\(directory)/pids/\(name)")
    }
  }

  private func log(_ name: String) -> String {
    String(decoding: (try? Files.read("\(directory)/logs/\(name)")) ?? [], as: UTF8.self)
  }

  private func waitForEnd(_ name: String) throws {
    guard let holder = holders.removeValue(forKey: name) else { return }
    try eventually("\(name) is off") { holder.reap() != nil }
  }

  // Links.

  /// Nothing comes or goes, and nobody is told: no carrier is lost, no packet is refused.
  func cut(_ name: String) throws { try command("cut", name) }
  func join(_ name: String) throws { try command("join", name) }
  /// What `name` sends to `other` is lost; what it hears from it is not.
  func mute(_ name: String, to other: String) throws { try command("mute", name, other) }
  func unmute(_ name: String, to other: String) throws { try command("unmute", name, other) }
  /// What goes to it passes a line of so many kilobits a second; 0: as before.
  func slow(_ name: String, kilobits: Int) throws { try command("slow", name, String(kilobits)) }

  private func command(_ what: String, _ name: String, _ more: String...) throws {
    runs += 1
    let program = try Program(
      [Self.script, what, directory, name] + more, path: "/bin/bash", output: "\(directory)/logs/\(what)-\(runs)")
    let status = try program.end(within: 20)
    try check(status == 0, "\(what) \(name): \(program.text)")
  }

  // Programs.

  /// Starts a program on a machine. It is `nsenter` that is seen here: a signal to it does not reach the program.
  func start(on name: String, _ words: String..., log: String? = nil) throws -> Program {
    try start(on: name, words, log: log)
  }

  func start(on name: String, _ words: [String], log: String? = nil) throws -> Program {
    runs += 1
    return try Program(
      [Self.script, "on", directory, name] + words, path: "/bin/bash",
      output: "\(directory)/logs/\(log ?? "\(name)-\(runs)")")
  }

  /// Runs a command on a machine to its end.
  @discardableResult
  func run(on name: String, _ words: String..., within seconds: Int64 = 60) throws -> (status: Int32, text: String) {
    let program = try start(on: name, words)
    return (try program.end(within: seconds), program.text)
  }

  /// The same, which must succeed; what it printed.
  @discardableResult
  func must(on name: String, _ words: String..., within seconds: Int64 = 60, line: UInt = #line) throws -> String {
    let program = try start(on: name, words)
    let status = try program.end(within: seconds, line: line)
    try check(status == 0, "\(name): \(words.joined(separator: " ")): \(status): \(program.text)", line: line)
    return program.text
  }

  // The end.

  /// The end of every log, for a failure's message.
  func story() -> String {
    ((try? Files.list("\(directory)/logs")) ?? []).map { name in
      "-- \(name)\n" + log(name).split(separator: "\n").suffix(12).joined(separator: "\n")
    }.joined(separator: "\n")
  }

  func end() {
    for descriptor in lifeline where descriptor >= 0 { close(descriptor) }
    lifeline = [-1, -1]
    for name in names + ["switch"] { try? waitForEnd(name) }
    removeControlGroups()
    try? Files.removeTree(directory)
  }

  /// Those of keepers that died with their machine: nobody succeeds them.
  private func removeControlGroups() {
    let keepers = Self.keepers(below: "\(directory)/disks", depth: 8)
    for parent in LimitPool.places() + ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
      for name in (try? Files.list(parent)) ?? [] where keepers.contains(where: { name.hasPrefix("stint-\($0).") }) {
        for pod in (try? Files.list("\(parent)/\(name)")) ?? [] {
          for inner in (try? Files.list("\(parent)/\(name)/\(pod)")) ?? [] {
            rmdir("\(parent)/\(name)/\(pod)/\(inner)")
          }
          rmdir("\(parent)/\(name)/\(pod)")
        }
        rmdir("\(parent)/\(name)")
      }
    }
  }

  private static func keepers(below path: String, depth: Int) -> [Substring] {
    guard depth > 0 else { return [] }
    return ((try? Files.list(path)) ?? []).flatMap { name -> [Substring] in
      if name == "keepers", let bytes = try? Files.read("\(path)/\(name)"), let register = try? JSON(parsing: bytes) {
        return (register["keepers"]?.arrayValue ?? []).compactMap { $0["keeper"]?.stringValue?.prefix(12) }
      }
      return keepers(below: "\(path)/\(name)", depth: depth - 1)
    }
  }
}
