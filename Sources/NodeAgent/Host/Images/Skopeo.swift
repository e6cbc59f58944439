// Runs skopeo, which knows transports, registries and credentials: one child, its words on an error, its end on demand.
// Knows nothing of what is copied.

import CLinux
import ClusterIO
import Glibc
import Synchronization

/// Why there is no image, in words for the pod's status.
package struct ImageError: Error, Equatable, Sendable, CustomStringConvertible {
  /// As skopeo says it, or our own words; at most 1 KiB.
  package var message: String
  /// Somebody asked for the end.
  package var isCancelled: Bool

  /// Longer messages are cut.
  init(_ message: String, isCancelled: Bool = false) {
    self.message = Self.cut(Self.printable(message))
    self.isCancelled = isCancelled
  }

  init(_ error: IOError) {
    let isOurs = error.code == 0 || error.code == EBADMSG || error.code == ENOSPC || error.code == EFBIG
    self.init(isOurs && error.subject.isEmpty ? error.message : "\(error)", isCancelled: error.code == ECANCELED)
  }

  package var description: String { message }

  /// Registries, archives and images have their say in it: nothing of that commands a terminal or begins a line.
  private static func printable(_ text: String) -> String {
    let isControl = { (scalar: Unicode.Scalar) in scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value) }
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? "?" : $0 }))
  }

  private static func cut(_ text: String) -> String {
    let limit = 1024
    guard text.utf8.count > limit else { return text }
    var end = text.utf8.index(text.utf8.startIndex, offsetBy: limit - 3)
    while end.samePosition(in: text) == nil { end = text.utf8.index(before: end) }
    return text[..<end] + "…"
  }
}

/// A way to end what is under way, from any thread.
package final class ImageCancellation: Sendable {
  private struct State {
    var isCancelled = false
    var group: pid_t?
  }

  private let state = Mutex(State())

  /// Not asked for yet.
  package init() {}

  /// Ends what runs, and whatever begins later.
  package func cancel() {
    state.withLock { state in
      state.isCancelled = true
      if let group = state.group { kill(-group, SIGKILL) }
    }
  }

  /// Whether it was asked for.
  package var isCancelled: Bool { state.withLock { $0.isCancelled } }

  /// A process group that runs now; nil: none any more. Set back before the process is reaped: its number may be
  /// another's then.
  func watch(_ group: pid_t?) {
    state.withLock { state in
      state.group = group
      if state.isCancelled, let group { kill(-group, SIGKILL) }
    }
  }
}

/// The program.
struct Skopeo: Sendable {
  /// Where it is; nil: on the PATH.
  var program: String?
  /// Its registries.conf; nil: its own.
  var registries: String?
  /// How long no byte may come, milliseconds.
  var patience: Int64 = 300_000

  private static let errorLimit = 16 << 10
  private static let wrapper = "/usr/bin/setpriv"
  private static let policies = "/etc/containers/policy.json"
  /// What it is told of our environment: where it finds its own files, and the way out of this network.
  private static let variables = [
    "PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY", "all_proxy",
  ]

  /// Runs it in `directory`; what it prints, at most `limit` bytes. `watched`: a directory in which something grows
  /// while it gets on, and into which at most `most` bytes may come; `check`: is called each second, and ends it by an
  /// error.
  func run(
    _ arguments: [String], in directory: String, limit: Int = 0, watched: String? = nil, most: Int64? = nil,
    cancellation: ImageCancellation, check: () throws(IOError) -> Void = {}
  ) throws(ImageError) -> [UInt8] {
    do throws(IOError) {
      let output = try SkopeoPipe(limit: limit)
      let errors = try SkopeoPipe(limit: Self.errorLimit)
      let child = try start(arguments, in: directory, output, errors)
      cancellation.watch(child.pid)
      var progress = Progress(watched: watched, most: most, patience: patience)
      var failure: IOError?
      while !isOver(child, [output, errors]), failure == nil {
        do throws(IOError) {
          try progress.look()
          try check()
        } catch {
          failure = error
        }
      }
      cancellation.watch(nil)
      if failure != nil { kill(-child.pid, SIGKILL) }
      while child.reap() == nil { _ = isOver(child, []) }
      output.drain()
      errors.drain()
      if let failure { throw failure }
      if child.status == .exited(code: 0), !output.isCut { return output.bytes }
      if cancellation.isCancelled { throw IOError(code: ECANCELED, operation: "skopeo") }
      let message = output.isCut ? "the answer has more than \(limit) bytes" : Self.message(errors.bytes, child.status)
      throw IOError(operation: "skopeo", subject: "", message: message)
    } catch {
      throw ImageError(error)
    }
  }

  /// Flags that stand before a command.
  private var flags: [String] {
    // Without a policy of the machine's people each image is taken; what it is, its digest says.
    (Files.exists(Self.policies) ? [] : ["--insecure-policy"]) + (registries.map { ["--registries-conf", $0] } ?? [])
  }

  private func start(
    _ arguments: [String], in directory: String, _ output: SkopeoPipe, _ errors: SkopeoPipe
  ) throws(IOError) -> Child {
    let environment = Self.variables.compactMap { name in getenv(name).map { "\(name)=\(String(cString: $0))" } }
    var line = [try found()] + flags + ["--tmpdir", "."] + arguments
    // An agent that is killed takes it along.
    if Files.exists(Self.wrapper) { line = [Self.wrapper, "--pdeathsig", "KILL", "--"] + line }
    var options = Child.Options(path: line[0], arguments: line, environment: environment)
    options.directory = directory
    options.descriptors = [1: output.writing, 2: errors.writing]
    let child = try Child(options)
    output.closeWriting()
    errors.closeWriting()
    return child
  }

  private func found() throws(IOError) -> String {
    if let program, access(program, X_OK) == 0 { return program }
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    for directory in path.split(separator: ":") where program == nil && access("\(directory)/skopeo", X_OK) == 0 {
      return "\(directory)/skopeo"
    }
    throw IOError(
      operation: "skopeo", subject: "",
      message: "there is no skopeo on this node, which fetches images: apt-get install skopeo")
  }

  /// Waits up to a second for its end or its words; whether it has ended.
  private func isOver(_ child: Child, _ pipes: [SkopeoPipe]) -> Bool {
    var watched = [pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)]
    for pipe in pipes where !pipe.isClosed {
      watched.append(pollfd(fd: pipe.reading, events: Int16(POLLIN), revents: 0))
    }
    poll(&watched, nfds_t(watched.count), 1_000)
    for pipe in pipes { pipe.drain() }
    return watched[0].revents != 0
  }

  /// What it says of its failure, without time and level.
  static func message(_ output: [UInt8], _ status: ProcessExit?) -> String {
    let lines = String(decoding: output, as: UTF8.self).split(separator: "\n").map { String($0) }
    let told = lines.last { $0.contains("level=fatal") } ?? lines.last { $0.contains("level=error") } ?? lines.last
    guard let told, let text = unquoted(told) ?? Optional(told), !text.isEmpty else {
      return "skopeo ended with \(status?.description ?? "no status")"
    }
    return plain(text)
  }

  /// Without what skopeo says before each trouble with a registry, which sounds as if the name were mistyped.
  private static func plain(_ text: String) -> String {
    let prefix = "Error parsing image name \""
    guard text.hasPrefix(prefix), let end = text.firstRange(of: "\": ")?.upperBound else { return text }
    let rest = String(text[end...])
    return rest.isEmpty ? text : rest
  }

  /// The `msg` of a line of logrus; nil: it is none.
  private static func unquoted(_ line: String) -> String? {
    guard let start = line.firstRange(of: "msg=\"")?.upperBound else { return nil }
    var text = ""
    var isEscaped = false
    for character in line[start...] {
      if isEscaped {
        text.append(character == "n" || character == "t" ? " " : character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if character == "\"" {
        break
      } else {
        text.append(character)
      }
    }
    return text
  }
}

/// What a child writes, up to a limit; the rest is read and dropped.
private final class SkopeoPipe {
  private(set) var bytes: [UInt8] = []
  private(set) var isCut = false
  private(set) var isClosed = false
  let reading: Int32
  private(set) var writing: Int32
  private let limit: Int

  init(limit: Int) throws(IOError) {
    var ends: [Int32] = [-1, -1]
    guard stint_output_pipe(&ends) == 0 else { throw IOError.last("pipe") }
    reading = ends[0]
    writing = ends[1]
    self.limit = limit
  }

  deinit {
    close(reading)
    closeWriting()
  }

  func closeWriting() {
    if writing >= 0 { close(writing) }
    writing = -1
  }

  func drain() {
    var piece = [UInt8](repeating: 0, count: 16 << 10)
    while !isClosed {
      let count = read(reading, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      if count == 0 { isClosed = true }
      guard count > 0 else { return }
      let room = min(count, limit - bytes.count)
      bytes += piece[..<room]
      if limit > 0, room < count { isCut = true }
    }
  }
}

/// Whether a directory grows, and not too much.
private struct Progress {
  /// What may come beyond what was announced: documents, and what is written twice.
  private static let slack: Int64 = 32 << 20
  /// Bytes a second, at least.
  private static let least: Int64 = 200

  private let watched: String?
  private let most: Int64?
  private let patience: Int64
  private var size: Int64 = -1
  private var since = Clocks.boot()

  init(watched: String?, most: Int64?, patience: Int64) {
    self.watched = watched
    self.most = most
    self.patience = patience
  }

  mutating func look() throws(IOError) {
    let now = Clocks.boot()
    let found = watched.map { Self.bytes($0) } ?? 0
    if let most, found > most + Self.slack {
      throw IOError(
        operation: "skopeo", subject: "",
        message: "the registry sends more than the \(most) bytes that the image's manifest announces")
    }
    // One that sends a byte now and then holds up all others.
    if size < 0 || found < size || found - size >= max(1, patience * Self.least / 1_000) {
      size = found
      since = now
    }
    guard now - since < patience * 1_000_000 else {
      let what = found > size ? "hardly a byte" : "no byte"
      throw IOError(
        operation: "skopeo", subject: "",
        message: "\(what) came for \(patience / 1_000) s: the registry hangs or is gone")
    }
  }

  /// Of the files in a directory and of one below.
  private static func bytes(_ directory: String, depth: Int = 0) -> Int64 {
    var sum: Int64 = 0
    for name in (try? Files.list(directory)) ?? [] {
      guard let status = try? Files.status("\(directory)/\(name)", followLinks: false) else { continue }
      if status.isDirectory, depth < 4 {
        sum += bytes("\(directory)/\(name)", depth: depth + 1)
      } else {
        sum += status.size
      }
    }
    return sum
  }
}
