// Owns: `cp`: files and folders between this machine and a container, packed by tar on both sides. It must not know how
// streams travel.

import ClusterIO
import ClusterProto
import Glibc

/// `stint cp`.
struct CopyCommand {
  /// One side: a path, and the pod that it is in; nil: this machine.
  struct Place: Equatable {
    var pod: String?
    var path: String

    /// `PATH`, `POD:PATH` or `NAMESPACE/POD:PATH`; what begins with `/` or `.` is a path.
    init(_ word: String) {
      let colon = word.firstIndex(of: ":")
      guard let colon, !word.hasPrefix("/"), !word.hasPrefix(".") else {
        path = word
        return
      }
      pod = String(word[..<colon])
      path = String(word[word.index(after: colon)...])
    }

    /// The folder that it is in, and its name there.
    var parts: (folder: String, name: String) {
      var path = path[...]
      while path.count > 1, path.hasSuffix("/") { path.removeLast() }
      guard let slash = path.lastIndex(of: "/") else { return (".", String(path)) }
      return (slash == path.startIndex ? "/" : String(path[..<slash]), String(path[path.index(after: slash)...]))
    }
  }

  private let context: Context
  private let entry: PodEntry
  private let pod: String

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let words = context.arguments.words
    guard words.count == 2 else { throw context.arguments.problem("name a source and a target") }
    let (source, target) = (Place(words[0]), Place(words[1]))
    guard (source.pod == nil) != (target.pod == nil), !source.path.isEmpty, !target.path.isEmpty else {
      throw context.arguments.problem("one of source and target is in a pod: POD:PATH")
    }
    let entry = try PodEntry(context)
    let command = CopyCommand(
      context: context, entry: entry, pod: try entry.pod(source.pod ?? target.pod ?? ""))
    return try source.pod == nil ? command.upload(source, target) : command.download(source, target)
  }

  private func upload(_ source: Place, _ target: Place) throws -> Int32 {
    guard Files.exists(source.path) else {
      throw CommandError("error: \(source.path) doesn't exist in local filesystem")
    }
    let from = source.parts
    let to = try isFolder(target.path) ? (folder: target.path, name: from.name) : target.parts
    let pack = try tar(["-cf", "-", "-C", from.folder] + Self.renaming(from.name, to: to.name) + ["--", from.name])
    var options = options(["tar", "-xmf", "-", "-C", to.folder])
    options.stdin = true
    let end = try run(options, input: pack.descriptor)
    // Nobody reads what it still writes.
    if end.code != 200 || end.exitCode ?? 0 != 0 { pack.child.signal(SIGTERM) }
    return try finish(end, pack)
  }

  private func download(_ source: Place, _ target: Place) throws -> Int32 {
    let from = source.parts
    let isFolder = (try? Files.status(target.path).isDirectory) == true
    let to = isFolder ? (folder: target.path, name: from.name) : target.parts
    // What else the container's tar packs does not come here.
    let unpack = try tar(
      ["-xf", "-", "-C", to.folder] + Self.renaming(from.name, to: to.name) + ["--", from.name], reads: true)
    let options = options(["tar", "-cf", "-", "-C", from.folder, "--", from.name])
    let end = try run(options, output: unpack.descriptor)
    if end.code != 200 { unpack.child.signal(SIGTERM) }
    return try finish(end, unpack)
  }

  /// Members of an archive under another name; links inside it stay as they are.
  static func renaming(_ name: String, to new: String) -> [String] {
    if name == new || name == "." || name == ".." { return [] }
    func quoted(_ text: String, _ special: String) -> String {
      text.reduce(into: "") { $0 += special.contains($1) ? "\\\($1)" : "\($1)" }
    }
    return ["--transform=flags=rh;s,^\(quoted(name, "\\.*^$[],"))\\(/\\|$\\),\(quoted(new, "\\&,"))\\1,"]
  }

  private func options(_ command: [String]) -> PodStreamOptions {
    var options = PodStreamOptions()
    options.container = context.arguments.value("container") ?? ""
    options.command = command
    (options.stdout, options.stderr) = (true, true)
    return options
  }

  private func isFolder(_ path: String) throws -> Bool {
    let end = try run(options(["test", "-d", path]))
    guard end.code == 200 else { throw CommandError("error: \(TerminalText.harmless(end.message))") }
    return end.exitCode == 0
  }

  /// Runs a command in the pod. `input`: what it reads; `output`: where that goes which it writes, and what is closed
  /// then.
  private func run(_ options: PodStreamOptions, input: Int32? = nil, output: Int32? = nil) throws -> PodStreamEnd {
    let session = ExecSession(try entry.open(.exec, pod: pod, options))
    var problem: IOError?
    session.onOutput = { bytes in
      guard let output, problem == nil else { return }
      do throws(IOError) { try Files.writeAll(output, bytes, path: "tar") } catch { problem = error }
    }
    // What tar says is for the eye.
    session.onErrors = { bytes in
      let text = TerminalText.harmless(String(decoding: bytes, as: UTF8.self))
      try? Files.writeAll(2, Array(text.utf8), path: "standard error")
    }
    let end = try session.run(entry, options, source: input ?? 0)
    if let output { close(output) }
    return end
  }

  /// The local tar with its end of a pipe here: what it writes, or (`reads`) what it reads.
  private func tar(_ words: [String], reads: Bool = false) throws -> (child: Child, descriptor: Int32) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw IOError.last("pipe") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let (own, its) = reads ? (ends[1], ends[0]) : (ends[0], ends[1])
    defer { close(its) }
    var options = Child.Options(
      path: "/usr/bin/env", arguments: ["env", "tar", "--no-unquote"] + words,
      environment: context.environment.map { "\($0.key)=\($0.value)" }.sorted())
    options.descriptors = [reads ? 0 : 1: its, 2: 2]
    options.newSession = false
    return (try Child(options), own)
  }

  private func finish(_ end: PodStreamEnd, _ tar: (child: Child, descriptor: Int32)) throws -> Int32 {
    var exit = tar.child.reap()
    while exit == nil {
      poll(nil, 0, 10)
      exit = tar.child.reap()
    }
    guard end.code == 200 else { throw CommandError("error: \(TerminalText.harmless(end.message))") }
    if let code = end.exitCode, code != 0 {
      throw CommandError("error: tar in the container ended with exit code \(code)", exitStatus: Int32(code))
    }
    return exit?.shellCode ?? 1
  }
}
