// Owns: `image load`, `ls` and `rm` on a node's data directory. It must not know how images are stored or fetched.

import AgentCore
import ClusterIO
import ClusterProto
import NodeAgent

/// `stint image load|ls|rm`: they work on files of this machine, not over the network.
enum ImageCommand {
  static let words = ["load", "ls", "rm"]
  private static let packaged = "/var/lib/stint-agent"

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let word = arguments.words.first ?? ""
    let operands = Array(arguments.words.dropFirst())
    switch (word, operands.count) {
    case ("load", 1...): return try load(operands, context)
    case ("ls", 0): return try list(context)
    case ("rm", 1...): return try remove(operands, context)
    case ("load", _), ("rm", _):
      throw arguments.problem("image \(word) needs \(word == "load" ? "a file" : "an image")")
    case ("ls", _): throw arguments.problem("image ls lists all images: it takes no name")
    default: throw arguments.problem("\"\(word)\" is neither load, ls nor rm")
    }
  }

  /// Data directories of nodes: one, or all of a `stint up`.
  private static func directories(_ context: Context) -> [String] {
    let asked = context.arguments.value("data")
    let usual = Files.exists(packaged) ? packaged : Endpoint.dataDirectory(context.environment)
    let data = ServeCommand.absolute(asked ?? usual)
    let nodes = (try? Files.list("\(data)/agents")) ?? []
    return nodes.isEmpty ? [data] : nodes.map { "\(data)/agents/\($0)" }
  }

  private static func load(_ files: [String], _ context: Context) throws -> Int32 {
    var name: ImageReference?
    if let text = context.arguments.value("tag") {
      do throws(ImageReference.Invalid) {
        name = try ImageReference(text)
      } catch {
        throw context.arguments.problem("--tag: \(text): \(error.reason)")
      }
    }
    for directory in directories(context) {
      for file in files {
        let images = try told { () throws(ImageError) in
          try NodeImages(data: directory).load(ServeCommand.absolute(file), name: name)
        }
        for image in images {
          context.console.line("loaded \(image.tags.joined(separator: ", ")) (\(short(image.id))) into \(directory)")
        }
      }
    }
    return 0
  }

  private static func list(_ context: Context) throws -> Int32 {
    var rows: [[String]] = []
    var json: [JSON] = []
    let nodes = directories(context)
    for directory in nodes {
      let images = try told { () throws(ImageError) in try NodeImages(data: directory).list() }
      let node = nodes.count > 1 ? [Files.split(directory).name] : []
      for image in images {
        let names = image.tags.isEmpty ? Array(image.digests.prefix(1)) : image.tags
        for name in names.isEmpty ? ["<none>"] : names {
          rows.append(node + [name, short(image.id), size(image.bytes), "\(image.layers.count)"])
        }
        json.append([
          "data": .string(directory), "id": .string(image.id), "tags": JSON.strings(image.tags),
          "digests": JSON.strings(image.digests), "bytes": .int(image.bytes), "layers": JSON.strings(image.layers),
        ])
      }
    }
    if context.arguments.value("output") == "json" {
      context.console.out(JSON.array(json).pretty() + "\n")
    } else if rows.isEmpty {
      context.console.note("No images found in \(nodes.joined(separator: ", ")).")
    } else {
      let columns = (nodes.count > 1 ? ["NODE"] : []) + ["IMAGE", "ID", "SIZE", "LAYERS"]
      context.console.out(TabWriter.table(columns, rows.sorted { $0.lexicographicallyPrecedes($1) }))
    }
    return 0
  }

  private static func remove(_ names: [String], _ context: Context) throws -> Int32 {
    var status: Int32 = 0
    for name in names {
      var isFound = false
      for directory in directories(context) {
        do {
          let done = try told { () throws(ImageError) in try NodeImages(data: directory).remove(name) }
          guard let done else { continue }
          isFound = true
          context.console.line("\(done) in \(directory)")
        } catch {
          isFound = true
          status = 1
          context.console.note(error.message)
        }
      }
      if !isFound {
        status = 1
        context.console.note("error: there is no image \(name) in \(directories(context).joined(separator: ", "))")
      }
    }
    return status
  }

  private static func told<Result>(_ work: () throws(ImageError) -> Result) throws(CommandError) -> Result {
    do throws(ImageError) {
      return try work()
    } catch {
      throw CommandError("error: \(error)")
    }
  }

  /// As much of an id as tells two apart.
  private static func short(_ id: String) -> String { String(id.dropFirst("sha256:".count).prefix(12)) }

  private static func size(_ bytes: Int64) -> String {
    let units: [(String, Int64)] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    guard let (unit, scale) = units.first(where: { bytes >= $0.1 }) else { return "\(bytes) B" }
    return "\(bytes / scale).\(bytes % scale * 10 / scale) \(unit)"
  }
}
