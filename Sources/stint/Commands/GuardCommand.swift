// Owns: `guard`: a command that runs only if no newer attempt has come by, and not beside one. It must not know where
// tokens come from beyond their variable.

import ClusterIO
import ClusterProto
import Glibc

/// `stint guard FILE -- COMMAND`.
enum GuardCommand {
  /// What a container's environment calls its token.
  static let variable = "STINT_FENCING_TOKEN"
  /// Exit status of an attempt that is not the newest any more: it never will be again (EX_NOPERM).
  static let isOld: Int32 = 77
  /// Of one that waited for as long as it was told to (EX_TEMPFAIL).
  static let isBusy: Int32 = 75
  /// Between two tries for a lock that another one holds.
  private static let pauseMicroseconds: UInt32 = 50_000

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let names = Array(arguments.wordsBeforeDashes)
    let command = Array(arguments.words.dropFirst(names.count))
    guard names.count == 1, !names[0].isEmpty, let program = command.first, !program.isEmpty else {
      throw arguments.problem("name a file, and behind -- the command: stint guard FILE -- COMMAND")
    }
    let token = try token(arguments)
    do throws(IOError) {
      guard let file = try lockedFile(names[0], within: arguments.milliseconds("timeout")) else {
        context.console.note("guard: \(names[0]) is still held by another command: \(program) is not run")
        return isBusy
      }
      let seen = try file.read()
      if let seen, seen > token {
        context.console.note(
          "guard: \(names[0]) has seen token \(seen), and this is attempt \(token): another one has taken its place, "
            + "so \(program) is not run")
        return isOld
      }
      if seen != token { try file.write(token) }
      // Closed, it would give the lock up.
      return try withExtendedLifetime(file) { () throws(IOError) in try GuardedCommand(command).run(context.console) }
    } catch {
      throw CommandError("guard: \(error)")
    }
  }

  private static func token(_ arguments: Arguments) throws -> Int64 {
    if let given = arguments.integer("token") { return given }
    guard let text = getenv(variable).map({ String(cString: $0) }) else {
      throw arguments.problem(
        "there is no token: \(variable) is in the environment of each container that Stint runs, elsewhere give --token"
      )
    }
    guard let token = Int64(text), token > 0 else {
      throw arguments.problem("\(variable) is \"\(TerminalText.harmless(text))\", which is no token")
    }
    return token
  }

  /// The file with its lock; nil: another command held it all the time.
  private static func lockedFile(_ path: String, within milliseconds: Int64?) throws(IOError) -> TokenFile? {
    let end = milliseconds.flatMap { limit in
      limit < 0 ? nil : Clocks.boot().addingSaturated(limit.multipliedSaturated(by: 1_000_000))
    }
    while true {
      let file = try TokenFile(path: path)
      guard try takeLock(of: file, until: end) else { return nil }
      if file.isInPlace { return file }
    }
  }

  private static func takeLock(of file: TokenFile, until end: Int64?) throws(IOError) -> Bool {
    guard let end else {
      try file.lock()
      return true
    }
    while true {
      if try file.tryLock() { return true }
      if Clocks.boot() >= end { return false }
      usleep(pauseMicroseconds)
    }
  }
}

/// The command as a child in this process' own group and terminal. This process keeps the lock, whatever descriptors
/// the command closes; the command has it too, so that it is not given up where this process is killed.
private struct GuardedCommand {
  private let words: [String]

  init(_ words: [String]) { self.words = words }

  /// Its exit status as a shell has it.
  func run(_ console: Console) throws(IOError) -> Int32 {
    // Before it begins: a signal that comes then waits, and is not lost.
    var heard = sigset_t()
    sigemptyset(&heard)
    for number in [SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2] { sigaddset(&heard, number) }
    var before = sigset_t()
    // Whoever started us may have ignored it.
    signal(SIGCHLD, SIG_DFL)
    sigprocmask(SIG_BLOCK, &heard, &before)
    let child: pid_t
    switch start(before) {
    case .success(let pid): child = pid
    case .failure(let error):
      console.note("guard: \(words[0]): \(error.message)")
      return error.code == ENOENT ? 127 : 126
    }
    while true {
      var status: Int32 = 0
      let ended = waitpid(child, &status, WNOHANG)
      if ended == child { return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f) }
      if ended < 0, errno != EINTR { throw IOError.last("wait for", words[0]) }
      var number: Int32 = 0
      sigwait(&heard, &number)
      // The terminal's own signals reach the command without us.
      if [SIGTERM, SIGHUP, SIGUSR1, SIGUSR2].contains(number) { kill(child, number) }
    }
  }

  private func start(_ mask: sigset_t) -> Result<pid_t, IOError> {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var mask = mask
    var usual = sigset_t()
    sigemptyset(&usual)
    // What this program has set for itself.
    sigaddset(&usual, SIGPIPE)
    posix_spawnattr_setsigmask(&attributes, &mask)
    posix_spawnattr_setsigdefault(&attributes, &usual)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var list: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    defer { for word in list { free(word) } }
    list.append(nil)
    var pid: pid_t = 0
    let code = posix_spawnp(&pid, words[0], nil, &attributes, list, environ)
    return code == 0 ? .success(pid) : .failure(IOError(code: code, operation: ""))
  }
}
