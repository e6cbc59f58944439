// Owns: what `stint agent` knows of its cluster at the start: the token and where it comes from, the data directory,
// the coordinator's addresses. It must not know how a machine joins.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc
import NodeAgent

enum AgentJoin {
  static let variable = "STINT_JOIN"

  /// From `--join`, `--join-file` or `STINT_JOIN`; from here on neither the process list nor a child shows its secret.
  /// A machine that has joined needs none, and a unit may name for good what was deleted: what is wrong with it is
  /// told, and keeps the machine from nothing.
  static func token(_ context: Context, hasJoined: Bool) throws -> (token: JoinToken?, problem: String?) {
    let arguments = context.arguments
    guard !arguments.has("join") || !arguments.has("join-file") else {
      throw arguments.problem("--join and --join-file: give one of them")
    }
    defer { unsetenv(variable) }
    do {
      return (try given(context), nil)
    } catch {
      guard hasJoined else { throw CommandError("error: \(error.text)") }
      return (nil, error.text)
    }
  }

  private struct Problem: Error { let text: String }

  private static func given(_ context: Context) throws(Problem) -> JoinToken? {
    let arguments = context.arguments
    var (source, text) = ("--join", arguments.value("join"))
    if let path = arguments.value("join-file") {
      source = "--join-file \(path)"
      do throws(IOError) {
        text = String(decoding: try Files.read(path, limit: 8_192, from: .fileOrPipe), as: UTF8.self)
        if let exposure = PrivateFiles.exposure(of: "a join token", in: path) {
          context.console.note("Warning: \(exposure)")
        }
      } catch {
        throw Problem(text: "\(source): \(error.message)")
      }
    } else if text == nil, let value = context.environment[variable], !value.isEmpty {
      (source, text) = (variable, value)
    }
    guard let text else { return nil }
    do throws(ProtocolError) {
      let token = try JoinToken(parsing: text)
      SecretWords.hide(token.secret)
      return token
    } catch {
      // Whatever it is, it may be one with a slip in it.
      SecretWords.hide(text)
      throw Problem(text: "\(source): \(error.message)")
    }
  }

  static func data(_ context: Context) -> String {
    if let path = context.arguments.value("data"), !path.isEmpty { return ServeCommand.absolute(path) }
    return geteuid() == 0 ? "/var/lib/stint-agent" : "\(Endpoint.dataDirectory(context.environment))-agent"
  }

  /// What the machine is already; nil: no node yet. `isIssued`: the authority at hand mends what is damaged.
  static func identity(data: String, isIssued: Bool) throws -> Identity? {
    let directory = NodePaths(data: data).identity
    do throws(IOError) {
      return try Identity.found(in: directory)
    } catch {
      if isIssued, error.code != PrivateFiles.refusal { return nil }
      throw CommandError("error: \(error)")
    }
  }

  /// As somebody says now; else the token's, that of `--authority`'s coordinator, and those that were given before.
  /// What the coordinator has told is added by the agent. `node`: whose addresses must be known, since it has joined.
  static func coordinators(_ context: Context, _ token: JoinToken?, node: String?, data: String) throws -> [String] {
    if let server = Endpoint.server(context.arguments.value("coordinator"), context.environment) { return [server] }
    let paths = NodePaths(data: data)
    let files = CoordinatorAddresses(given: [], paths: paths)
    // A coordinator of this machine says where it is in its directory; by now that may be another port.
    let (own, problem) = announced(context)
    let known = (token?.addresses ?? []) + [own].compactMap(\.self)
    let all = known + files.kept.map(\.description).filter { !known.contains($0) }
    guard all.isEmpty, files.all.isEmpty else {
      if let problem { context.console.note("Warning: \(problem)") }
      return all
    }
    if let problem { throw CommandError("error: \(problem)") }
    guard let node else {
      if let authority = context.arguments.value("authority") {
        context.console.note(
          "stint agent: there is no \(authority)/coordinator.json, which says where its coordinator is: it is looked "
            + "for at \(Endpoint.defaultServer); --coordinator HOST:PORT names another address")
      }
      return [Endpoint.defaultServer]
    }
    throw CommandError(
      "error: this machine is node \(node), but where its coordinator is cannot be read: \(paths.coordinators) and "
        + "\(paths.toldCoordinators) are missing or damaged. Start the agent once with --coordinator ADDRESS[:PORT]: "
        + "it writes them anew")
  }

  /// What the directory of `--authority` says of its coordinator's address, or what is wrong with that.
  private static func announced(_ context: Context) -> (address: String?, problem: IOError?) {
    guard let authority = context.arguments.value("authority") else { return (nil, nil) }
    do throws(IOError) {
      return (try DataDirectory.announcedAddress(at: authority), nil)
    } catch {
      return (nil, error)
    }
  }
}
