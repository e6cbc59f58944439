// Owns: what `stint agent` knows of its cluster at the start: the token and where it comes from, the data directory,
// the coordinator's addresses. It must not know how a machine joins.

import ClusterIO
import ClusterProto
import Glibc
import NodeAgent

enum AgentJoin {
  static let variable = "STINT_JOIN"

  /// From `--join`, `--join-file` or `STINT_JOIN`; from here on neither the process list nor a child shows its secret.
  static func token(_ context: Context) throws -> JoinToken? {
    let arguments = context.arguments
    guard !arguments.has("join") || !arguments.has("join-file") else {
      throw arguments.problem("--join and --join-file: give one of them")
    }
    var text = arguments.value("join") ?? context.environment[variable].flatMap { $0.isEmpty ? nil : $0 }
    if let path = arguments.value("join-file") {
      do throws(IOError) {
        text = String(decoding: try Files.read(path, limit: 8_192), as: UTF8.self)
      } catch {
        throw CommandError("error: --join-file: \(error)")
      }
    }
    defer { unsetenv(variable) }
    guard let text else { return nil }
    do throws(ProtocolError) {
      let token = try JoinToken(parsing: text)
      SecretWords.hide(token.secret)
      return token
    } catch {
      // Whatever it is, it may be one with a slip in it.
      SecretWords.hide(text)
      throw CommandError("error: \(error.message)")
    }
  }

  static func data(_ context: Context) -> String {
    if let path = context.arguments.value("data"), !path.isEmpty { return ServeCommand.absolute(path) }
    return geteuid() == 0 ? "/var/lib/stint-agent" : "\(Endpoint.dataDirectory(context.environment))-agent"
  }

  /// As somebody says now; else the token's and those that were given before. What the coordinator has told is added by
  /// the agent.
  static func coordinators(_ context: Context, _ token: JoinToken?, data: String) -> [String] {
    if let server = Endpoint.server(context.arguments.value("coordinator"), context.environment) { return [server] }
    let file = (try? Files.read(NodePaths(data: data).coordinators, limit: 8_192)) ?? []
    let joined = String(decoding: file, as: UTF8.self).split(separator: "\n").map(String.init)
    let known = token?.addresses ?? []
    let all = known + joined.filter { !known.contains($0) }
    return all.isEmpty ? [Endpoint.defaultServer] : all
  }
}
