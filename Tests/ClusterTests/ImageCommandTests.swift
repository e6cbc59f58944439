// `stint image` on a node's data directory: what it says, and how it fails.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("stint image") final class ImageCommandTests {
  private let scratch: String

  init() throws {
    scratch = "/tmp/stint-image-\(Hexadecimal.text(try Crypto.randomBytes(6)))"
    try Files.makeDirectory(scratch)
  }

  deinit { try? Files.removeTree(scratch) }

  private func stint(_ line: String) -> (status: Int32, out: String, err: String) {
    var (out, err) = ("", "")
    let console = Console(out: { out += $0 }, err: { err += $0 })
    do {
      let arguments = try Arguments.parse(line.split(separator: " ").map(String.init), commands: CommandTable.all)
      let context = Context(
        arguments: arguments, environment: [:], console: console,
        makeCluster: { _ in throw CommandError("it asks a coordinator") })
      return (try ImageCommand.run(context), out, err)
    } catch {
      return (1, out, err + ((error as? CommandError)?.message ?? (error as? UsageError)?.message ?? "\(error)"))
    }
  }

  /// An OCI layout of one image whose name is a tag alone.
  private func layout() throws -> String {
    let path = "\(scratch)/layout"
    try Files.writeAtomically("\(scratch)/tool", Array("tool".utf8))
    for words in [
      ["init", "--layout", path], ["new", "--image", "\(path):1"],
      ["insert", "--image", "\(path):1", "\(scratch)/tool", "/bin/tool"],
    ] {
      let child = try Child(Child.Options(path: "/usr/bin/umoci", arguments: ["umoci"] + words, environment: []))
      while child.reap() == nil { poll(nil, 0, 5) }
      #expect(child.status == .exited(code: 0))
    }
    return path
  }

  @Test("loads, lists and removes images on one node and on all of a `stint up`")
  func life() throws {
    let path = try layout()
    let data = "--data \(scratch)/node"
    #expect(stint("image ls \(data)").err == "No images found in \(scratch)/node.\n")
    #expect(stint("image load \(path) \(data)").err.hasSuffix("its image has no name: give it one by --tag NAME:TAG"))
    let loaded = stint("image load \(path) --tag tools:1 \(data)")
    #expect(loaded.status == 0 && loaded.out.hasPrefix("loaded docker.io/library/tools:1 ("), "\(loaded)")
    let lines = stint("image ls \(data)").out.split(separator: "\n")
    #expect(lines.first?.split(separator: " ") == ["IMAGE", "ID", "SIZE", "LAYERS"])
    #expect(lines.last?.hasPrefix("docker.io/library/tools:1   ") == true && lines.count == 2)
    let json = try JSON(parsing: stint("image ls -o json \(data)").out)
    #expect(json.arrayValue?[0]["tags"] == ["docker.io/library/tools:1"])
    #expect(stint("image rm tools:1 \(data)").out == "deleted docker.io/library/tools:1 in \(scratch)/node\n")
    let again = stint("image rm tools:1 \(data)")
    #expect(again.status == 1 && again.err == "error: there is no image tools:1 in \(scratch)/node\n")

    for node in ["node-1", "node-2"] { try Files.makeDirectory("\(scratch)/up/agents/\(node)") }
    let both = stint("image load \(path) --tag tools:1 --data \(scratch)/up")
    #expect(both.out.split(separator: "\n").count == 2)
    #expect(
      stint("image ls --data \(scratch)/up").out.split(separator: "\n").map { $0.prefix(4) } == [
        "NODE", "node", "node",
      ])
  }

  @Test(
    "says what is wrong",
    arguments: [
      ("image", "image"), ("image pull x", "\"pull\" is neither load, ls nor rm"), ("image load", "needs a file"),
      ("image rm", "needs an image"), ("image ls x", "takes no name"),
      ("image load x --tag A", "must be lowercase"), ("image load /absent", "No such file or directory"),
    ])
  func misuse(line: String, words: String) {
    let answer = stint("\(line) --data \(scratch)/node")
    #expect(answer.status == 1 && answer.err.contains(words), "\(answer)")
  }
}
