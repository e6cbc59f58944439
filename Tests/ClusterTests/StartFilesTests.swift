// Each file that coordinator and agent read at their start, damaged in each way: the start goes on, or ends with a
// sentence that says what, where and what to do; it never just ends.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("What is wrong with a file at a start is told")
struct StartFilesTests {
  /// What the start comes to.
  private enum Outcome {
    case serves
    /// Ends with status 1 and says all of these.
    case refuses([String])
    /// Goes on, and says all of these.
    case says([String])
  }

  /// What a lock can be taken of.
  private static let plain = Set<Damage>([.empty, .half, .random, .huge, .pipe])

  private static func check(_ outcome: Outcome, _ program: Program, serves words: String, _ what: String) throws {
    let wanted: [String]
    switch outcome {
    case .refuses(let said):
      let status = try program.end(within: 60)
      try stintCheck(status == 1, "\(what): exit status \(status): \(program.text)")
      wanted = said
    case .says(let said): wanted = said
    case .serves: wanted = [words]
    }
    try eventually(what, seconds: 30, every: 10, seen: { program.text }) {
      if case .refuses = outcome { return wanted.allSatisfy(program.text.contains) }
      let isThere = wanted.allSatisfy(program.text.contains)
      try stintCheck(isThere || program.isRunning, "\(what) ended: \(program.text)")
      return isThere
    }
  }

  private static func stintCheck(_ holds: Bool, _ message: String) throws {
    guard holds else { throw Failure(message) }
  }

  // The coordinator.

  private static func coordinator(_ name: String, _ damage: Damage) -> Outcome {
    switch name {
    case "lock": plain.contains(damage) ? .serves : .refuses(["/lock", "cannot be used"])
    case "reserve": .serves
    case "store.mark": .refuses([name, "restore a backup"])
    case "stint.db":
      .refuses([name, [.directory, .unreadable].contains(damage) ? "cannot be used" : "restore a backup"])
    case "pki/authority.pem": .refuses(["/pki/authority.pem", "from a backup"])
    case "pki/tokens.pem":
      .refuses(["/pki/tokens.pem", "put it back from a backup, or delete it and start again: a new one is made"])
    default: damage == .directory ? .refuses(["/\(name)", "move away what is there"]) : .serves
    }
  }

  @Test("by a coordinator, which makes anew what it can make and touches nothing else")
  func coordinator() async throws {
    try await Blocking.run {
      let place = try StartPlace()
      let data = "\(place.directory)/data"
      func start() throws -> Program {
        try place.start(["coordinator", "--data", data, "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"])
      }
      let first = try start()
      try eventually("it serves", seen: { first.text }) { first.text.contains("coordinator serves") }
      try first.killAndReap(SIGTERM)
      let files = [
        "lock", "reserve", "store.mark", "stint.db", "pki/authority.pem", "pki/tokens.pem", "pki/server.pem",
        "pki/admin.pem", "coordinator.json", "admin.kubeconfig",
      ]
      for name in files {
        for damage in Damage.allCases {
          try place.with(damage, of: "data/\(name)") {
            let program = try start()
            defer { try? program.killAndReap(SIGTERM) }
            try Self.check(
              Self.coordinator(name, damage), program, serves: "coordinator serves", "\(name), \(damage.rawValue)")
          }
        }
      }
      let last = try start()
      try Self.check(.serves, last, serves: "coordinator serves", "the start after all of them")
      try last.killAndReap(SIGTERM)
      try Self.stintCheck(!last.text.contains("a new key for tokens is made"), last.text)
      // Gone, it is made anew, and every token with it is void: not in silence.
      unlink("\(data)/pki/tokens.pem")
      let anew = try start()
      try Self.check(
        .says(["a new key for tokens is made", "every service account's token ends"]), anew, serves: "", "a lost key")
      try anew.killAndReap(SIGTERM)
    }
  }

  // The agent.

  private static func agent(_ name: String, _ damage: Damage) -> Outcome {
    let inTheWay = ["/\(name)", "move away what is there in its place, or mend its permissions"]
    switch name {
    case "agent.lock": return plain.contains(damage) ? .serves : .refuses(inTheWay)
    case "agent.json": return .refuses(["/agent.json", "Put it back from a copy", "delete it and start again"])
    case "identity/identity.pem", "identity/authority.pem":
      if damage == .unreadable { return .refuses(["/\(name)", "Permission denied", "start the agent as the user"]) }
      // A bundle that was cut may hold a whole certificate before the cut.
      return .refuses(["/\(name)", "Put the file back", "start the agent with a token for the name"])
    case "identity/coordinators":
      return .refuses(["this machine is node here, but where its coordinator is", "/\(name)", "--coordinator ADDRESS"])
    case "keeper.lock": return plain.contains(damage) ? .serves : .says(["the keeper ended (exit code 1)"] + inTheWay)
    case "keeper.journal":
      let isStuck = [.directory, .loop].contains(damage)
      return isStuck ? .says(["the keeper ended (exit code 1)"] + inTheWay) : .serves
    case "pods", "logs", "tokens": return damage == .directory ? .serves : .refuses(["/\(name)"])
    default: return .serves
    }
  }

  @Test("by an agent and its keeper, which forget nothing of themselves by themselves")
  func agent() async throws {
    try await Blocking.run {
      let place = try StartPlace()
      let data = "\(place.directory)/data"
      let identity = "\(data)/identity"
      try Files.makeDirectory("\(place.directory)/authority/pki")
      try Files.writeAtomically(
        "\(place.directory)/authority/pki/authority.pem",
        try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 3_600 * 24 * 100).file)
      try Identity.issue(node: "here", coordinator: "\(place.directory)/authority").write(directory: identity)
      // Nobody listens on port 1.
      try Files.writeAtomically("\(identity)/coordinators", Array("127.0.0.1:1\n".utf8))
      for path in [data, identity] + (try Files.list(identity).map { "\(identity)/\($0)" }) { try place.giveAway(path) }
      func start() throws -> Program { try place.start(["agent", "--data", data]) }
      func stop(_ program: Program) throws {
        program.child.signal(SIGUSR1)
        _ = try program.end(within: 30)
        try eventually("its keeper is gone") { !FileLock.isHeld("\(data)/keeper.lock") }
      }
      let first = try start()
      try eventually("it began", seen: { first.text }) {
        first.text.contains("out of reach") && FileLock.isHeld("\(data)/keeper.lock") && Files.exists("\(data)/keepers")
      }
      try stop(first)
      // It is written in a session only.
      try Files.writeAtomically("\(data)/probe", [10])
      try place.giveAway("\(data)/probe")
      let files = [
        "agent.lock", "agent.json", "identity/identity.pem", "identity/authority.pem", "identity/coordinators",
        "keeper.lock", "keeper.journal", "keepers", "keeper.log", "probe", "pods", "logs", "tokens",
      ]
      for name in files {
        for damage in Damage.allCases {
          try place.with(damage, of: "data/\(name)") {
            let program = try start()
            defer { try? stop(program) }
            try Self.check(Self.agent(name, damage), program, serves: "out of reach", "\(name), \(damage.rawValue)")
          }
        }
      }
      let last = try start()
      try Self.check(.serves, last, serves: "out of reach", "the start after all of them")
      try stop(last)
    }
  }

  // Modes.

  /// A path below the data directory, a mode, and what is said; nil: the start goes on without a word.
  private static let loose: [(path: String, mode: mode_t, said: String, isRefused: Bool)] = [
    ("", 0o755, "may look into", false), ("", 0o777, "may write to it (mode 0777)", true),
    ("", 0o770, "may write to it (mode 0770)", true), ("pki", 0o777, "may write to it (mode 0777)", true),
    ("pki", 0o775, "may write to it (mode 0775)", true), ("pki", 0o755, "", false),
    ("pki/authority.pem", 0o644, "holds a key", true), ("pki/tokens.pem", 0o640, "holds a key", true),
    ("pki/server.pem", 0o644, "holds a key", true), ("pki/admin.pem", 0o604, "holds a key", true),
    ("pki/authority.pem", 0o400, "", false), ("admin.kubeconfig", 0o644, "holds a key", false),
    ("identity", 0o777, "may write to it (mode 0777)", true), ("identity", 0o755, "", false),
    ("identity/identity.pem", 0o644, "holds a key", true), ("identity/authority.pem", 0o666, "may write to it", true),
    ("identity/authority.pem", 0o644, "", false), ("identity/coordinators", 0o666, "may write to it", true),
  ]

  private static func loosen(_ data: String, serves: String, _ start: () throws -> Program) throws {
    for (name, mode, said, isRefused) in loose {
      let path = name.isEmpty ? data : "\(data)/\(name)"
      guard let status = try? Files.status(path) else { continue }
      guard chmod(path, mode) == 0 else { throw IOError.last("chmod", path) }
      defer { chmod(path, status.mode & 0o777) }
      let program = try start()
      defer {
        program.child.signal(serves == "out of reach" ? SIGUSR1 : SIGTERM)
        _ = try? program.end(within: 30)
        try? eventually("its keeper is gone") { !FileLock.isHeld("\(data)/keeper.lock") }
      }
      let wanted = said.isEmpty ? [] : [path, said, "chmod"]
      try check(
        isRefused ? .refuses(wanted) : .says(wanted + [serves]), program, serves: serves, "\(path) with mode \(mode)")
      let isSilent = !program.text.contains("chmod")
      try stintCheck(isSilent == said.isEmpty, "\(path) with mode \(mode): \(program.text)")
    }
  }

  @Test("loose modes: a key or a directory that others may change is refused, what they may see is told")
  func modes() async throws {
    try await Blocking.run {
      let place = try StartPlace()
      let (data, agent) = ("\(place.directory)/data", "\(place.directory)/agent")
      func coordinator() throws -> Program {
        try place.start(["coordinator", "--data", data, "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"])
      }
      let first = try coordinator()
      try eventually("it serves", seen: { first.text }) { first.text.contains("coordinator serves") }
      try first.killAndReap(SIGTERM)
      try Self.loosen(data, serves: "coordinator serves", coordinator)
      try Identity.issue(node: "here", coordinator: data).write(directory: "\(agent)/identity")
      try Files.writeAtomically("\(agent)/identity/coordinators", Array("127.0.0.1:1\n".utf8))
      for path in ["", "/identity"] + (try Files.list("\(agent)/identity").map { "/identity/\($0)" }) {
        try place.giveAway(agent + path)
      }
      try Self.loosen(agent, serves: "out of reach") { try place.start(["agent", "--data", agent]) }
    }
  }
}
