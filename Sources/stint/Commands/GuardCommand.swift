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
      let file = try TokenFile(path: names[0])
      guard try takeLock(of: file, within: arguments.milliseconds("timeout")) else {
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
      return withExtendedLifetime(file) { become(command, context) }
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

  /// False: another command held it all the time.
  private static func takeLock(of file: TokenFile, within milliseconds: Int64?) throws(IOError) -> Bool {
    guard let milliseconds, milliseconds >= 0 else {
      try file.lock()
      return true
    }
    let end = Clocks.boot().addingSaturated(milliseconds.multipliedSaturated(by: 1_000_000))
    while true {
      if try file.tryLock() { return true }
      if Clocks.boot() >= end { return false }
      usleep(pauseMicroseconds)
    }
  }

  /// This process becomes the command, and keeps the lock with the open file. Returns only when that fails, with a
  /// shell's exit status.
  private static func become(_ command: [String], _ context: Context) -> Int32 {
    // What a command expects, whatever this program has set for itself.
    signal(SIGPIPE, SIG_DFL)
    var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    words.append(nil)
    execvp(command[0], words)
    let code = errno
    context.console.note("guard: \(command[0]): \(IOError(code: code, operation: "").message)")
    return code == ENOENT ? 127 : 126
  }
}
