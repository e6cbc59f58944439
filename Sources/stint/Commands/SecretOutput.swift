// Owns: where a command's secret goes: standard output, or with --to a file that is its owner's alone whatever the
// umask. It must not know what the secret is.

import ClusterIO
import Glibc

/// The place of what a command makes, looked at before it is made.
struct SecretOutput {
  private let console: Console
  /// nil: standard output.
  private let path: String?

  /// Refuses a place that no file can be written to. What is there and is no file is refused too, since a rename takes
  /// its place; a link stays, and its file is replaced.
  init(_ context: Context) throws(CommandError) {
    console = context.console
    guard let given = context.arguments.value("to") else {
      self.path = nil
      return
    }
    var path = ServeCommand.absolute(given)
    func refused(_ why: String) -> CommandError { CommandError("error: --to \(given): \(why)") }
    if let found = try? Files.status(path, followLinks: false), found.mode & UInt32(S_IFMT) == UInt32(S_IFLNK) {
      guard let real = realpath(path, nil) else { throw refused("is a link that leads nowhere") }
      defer { free(real) }
      path = String(cString: real)
    }
    if let found = try? Files.status(path), found.mode & UInt32(S_IFMT) != UInt32(S_IFREG) {
      throw refused("is \(found.isDirectory ? "a directory" : "a device, a pipe or a socket"): name a file")
    }
    let parent = Files.split(path).parent
    guard access(parent, W_OK | X_OK) == 0 else { throw refused("\(parent): \(IOError.text(errno))") }
    self.path = path
  }

  func write(_ text: String) throws(CommandError) {
    guard let path else { return console.out(text) }
    do throws(IOError) {
      try Files.writeAtomically(path, Array(text.utf8), mode: 0o600)
    } catch {
      throw CommandError("error: \(error)")
    }
  }
}
