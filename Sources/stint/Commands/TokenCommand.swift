// Owns: `token`: join tokens made, listed, deleted. It draws the secret; the coordinator hears of its digest alone. It
// must not know who may ask, nor what becomes of a joiner.

import ClusterIO
import ClusterProto

/// `stint token create`, `list`, `delete ID…`.
enum TokenCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let words = context.arguments.words
    switch (words.first, words.count) {
    case ("create", 1): return try create(context)
    case ("list", 1): return try list(context)
    case ("delete", 2...): return try delete(Array(words.dropFirst()), context)
    case ("create", _), ("list", _), ("delete", _):
      throw context.arguments.problem("it is create, list, or delete ID…")
    default: throw context.arguments.problem("\"\(words.first ?? "")\" is none of create, list and delete")
    }
  }

  private static func create(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let output = try SecretOutput(context)
    let ttl = arguments.milliseconds("ttl") ?? 86_400_000
    let id = try drawID()
    let secret = Hexadecimal.text(try Crypto.randomBytes(JoinToken.secretDigits / 2))
    let made = try context.cluster().ask {
      .joining(
        id: $0,
        .createToken(
          id: id, digest: JoinToken.digest(ofSecret: secret), ttlSeconds: ttl / 1_000, uses: arguments.integer("uses"),
          node: arguments.value("node") ?? ""))
    }
    let addresses = (made["addresses"]?.arrayValue ?? []).compactMap(\.stringValue)
    guard !addresses.isEmpty, let authority = made["authority"]?.stringValue else {
      throw CommandError("error: the coordinator does not say where it is reached: is it of another version?")
    }
    let token = JoinToken(addresses: addresses, authority: authority, id: id, secret: secret)
    if addresses.allSatisfy({ SocketAddress(parsing: $0)?.isLoopback == true }) {
      context.console.note(
        "Warning: the coordinator listens on this machine only; --listen 0.0.0.0 lets others reach it"
      )
    }
    if arguments.value("output") == "json" {
      var object = made
      object["token"] = .string(token.text)
      try output.write(object.pretty() + "\n")
    } else {
      try output.write(token.line + "\n")
    }
    return 0
  }

  /// Letters and digits, each as likely as any other.
  private static func drawID() throws(IOError) -> String {
    let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
    var id: [UInt8] = []
    while id.count < JoinToken.idDigits {
      for byte in try Crypto.randomBytes(JoinToken.idDigits) where byte < 252 && id.count < JoinToken.idDigits {
        id.append(letters[Int(byte) % letters.count])
      }
    }
    return String(decoding: id, as: UTF8.self)
  }

  private static func list(_ context: Context) throws -> Int32 {
    let found = try context.cluster().ask { .joining(id: $0, .listTokens) }
    if context.arguments.value("output") == "json" {
      context.console.out(found.pretty() + "\n")
      return 0
    }
    let items = found["items"]?.arrayValue ?? []
    if items.isEmpty {
      context.console.note("No join tokens: stint token create makes one")
      return 0
    }
    func text(_ item: JSON, _ member: String, _ none: String) -> String {
      let text = item[member]?.stringValue ?? ""
      return text.isEmpty ? none : text
    }
    let rows = items.map { item in
      [
        text(item, "id", ""), text(item, "status", ""), item["usesLeft"]?.intValue.map(String.init) ?? "any",
        text(item, "node", "<any>"), text(item, "created", ""), text(item, "expires", ""),
        text(item, "lastNode", "<none>"),
      ]
    }
    context.console.out(
      TabWriter.table(["ID", "STATUS", "USES-LEFT", "NODE", "CREATED", "EXPIRES", "LAST-NODE"], rows))
    return 0
  }

  private static func delete(_ ids: [String], _ context: Context) throws -> Int32 {
    let cluster = try context.cluster()
    return try PatchCommand.each(ids, context.console) { word in
      // Whoever pastes the whole token means its id; the rest of it goes nowhere.
      let id = (try? JoinToken(parsing: word))?.id ?? word
      _ = try cluster.ask { .joining(id: $0, .deleteToken(id: id)) }
      return "join token \(id) deleted"
    }
  }
}
