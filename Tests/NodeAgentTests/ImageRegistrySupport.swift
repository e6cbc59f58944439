// Owns: registries for the tests of images: Debian's docker-registry, one that misbehaves, and a node's images driven
// as an agent does.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

/// A server process that says on which port it listens.
final class TestRegistry {
  let scratch: Scratch
  private(set) var port = 0
  private let child: Child
  private let input: Int32

  var address: String { "127.0.0.1:\(port)" }

  /// docker-registry; `password`: of the user `test`, nil: everybody may.
  convenience init(password: Bool = false) throws {
    let scratch = try Scratch()
    var text = """
      version: 0.1
      storage:
        filesystem:
          rootdirectory: \(scratch.path)/data
      http:
        addr: 127.0.0.1:0

      """
    if password {
      text += "auth:\n  htpasswd:\n    realm: test\n    path: \(scratch.path)/users\n"
      // The password is `secret`.
      let line = "test:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
      try Files.writeAtomically("\(scratch.path)/users", Array(line.utf8))
    }
    try Files.writeAtomically("\(scratch.path)/config.yml", Array(text.utf8))
    try self.init(
      scratch, ["/usr/bin/docker-registry", "serve", "\(scratch.path)/config.yml"]
    ) { output in
      output.firstRange(of: "listening on 127.0.0.1:").map { Int(output[$0.upperBound...].prefix { $0.isNumber }) ?? 0 }
    }
  }

  /// The one that misbehaves, with this image.
  convenience init(_ layout: LayoutBuilder) throws {
    let scratch = try Scratch()
    try layout.write("\(scratch.path)/layout")
    let script = Files.split(#filePath).parent + "/Registry/registry.py"
    try self.init(scratch, ["/usr/bin/python3", script, "\(scratch.path)/layout"]) { output in
      output.hasSuffix("\n") ? Int(output.dropLast()) : nil
    }
  }

  private init(_ scratch: Scratch, _ arguments: [String], _ port: (String) -> Int?) throws {
    self.scratch = scratch
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    input = ends[1]
    let log = open("\(scratch.path)/log", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer {
      close(log)
      close(ends[0])
    }
    var options = Child.Options(path: arguments[0], arguments: arguments, environment: ["PATH=/usr/bin:/bin"])
    options.descriptors = [0: ends[0], 1: log, 2: log]
    child = try Child(options)
    let isUp = eventually(seconds: 30) {
      self.port = port(text("\(scratch.path)/log")) ?? 0
      return self.port > 0
    }
    #expect(isUp, "\(text("\(scratch.path)/log"))")
  }

  deinit {
    close(input)
    child.signal(SIGKILL)
    _ = eventually { child.reap() != nil }
  }

  /// Requests that the one that misbehaves got.
  var requests: [Substring] { text("\(scratch.path)/layout/requests").split(separator: "\n") }

  /// Has skopeo bring an image to it.
  func push(_ layout: LayoutBuilder, as name: String, flags: [String] = []) throws {
    let path = "\(scratch.path)/push-\(Hexadecimal.text(try Crypto.randomBytes(4)))"
    try layout.write(path)
    let pushed = try output(
      ["/usr/bin/skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"] + flags
        + ["oci:\(path):tools:1", "docker://\(address)/\(name)"])
    #expect(pushed.isDone, "\(pushed.text)")
  }
}

/// The images of a node with the loop that they report to.
final class TestHost {
  let scratch: Scratch
  let loop: EventLoop
  private(set) var host: ImageHost
  private var results: [Int64: Result<ImageRecord, ImageError>] = [:]

  var directory: String { "\(scratch.path)/images" }
  var store: ImageStore { ImageStore(directory: directory) }

  init(patience: Int64 = 300_000) throws {
    scratch = try Scratch()
    loop = try EventLoop()
    var settings = FetchSettings()
    settings.patience = patience
    host = try ImageHost(directory: "\(scratch.path)/images", settings: settings)
    try host.attach(to: loop)
  }

  /// The next agent on the directory.
  func restart() throws {
    host.stop()
    host = try ImageHost(directory: directory)
    try host.attach(to: loop)
  }

  func wait(seconds: Int64 = 60, _ condition: () -> Bool) -> Bool {
    let end = Clocks.boot() + seconds * 1_000_000_000
    while !condition() {
      if Clocks.boot() > end { return false }
      _ = try? loop.runOnce(timeoutMilliseconds: 20)
    }
    return true
  }

  func begin(_ key: Int64, _ name: String, credentials: String? = nil) throws {
    host.pull(key: key, try ImageReference(name), credentials: credentials.map { Array($0.utf8) }) { [unowned self] in
      results[key] = $0
    }
  }

  func result(_ key: Int64) -> Result<ImageRecord, ImageError>? {
    #expect(wait { results[key] != nil })
    return results[key]
  }

  func pull(_ name: String, credentials: String? = nil) throws -> ImageRecord {
    results[0] = nil
    try begin(0, name, credentials: credentials)
    return try #require(result(0)).get()
  }

  /// What a pull says that fails.
  func failure(_ name: String, credentials: String? = nil) throws -> String {
    do {
      return "pulled \(try pull(name, credentials: credentials).id)"
    } catch let error as ImageError {
      return error.message
    }
  }
}
