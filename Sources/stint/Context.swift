// Owns: what every command gets: its arguments, the console, the environment, and a way to the cluster.
// It must not know what commands do with them.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// One run of one command.
struct Context {
  let arguments: Arguments
  let environment: [String: String]
  let console: Console
  /// Opens no connection before the first request.
  let makeCluster: (Context) throws -> Cluster

  init(
    arguments: Arguments, environment: [String: String], console: Console,
    makeCluster: @escaping (Context) throws -> Cluster
  ) {
    self.arguments = arguments
    self.environment = environment
    self.console = console
    self.makeCluster = makeCluster
    // A kubeconfig that cannot be read is told by who connects.
    let takesOne = arguments.command.flag(named: CommandTable.namespace.name) != nil
    let usual = takesOne ? try? Endpoint(arguments: arguments, environment: environment).read().namespace : nil
    namespace = arguments.value(CommandTable.namespace.name) ?? usual ?? "default"
  }

  func cluster() throws -> Cluster { try makeCluster(self) }

  /// The namespace asked for, else the kubeconfig's, else `default`.
  let namespace: String
  var isAllNamespaces: Bool { arguments.isOn("all-namespaces") }

  /// Where to list objects of `kind`: empty for all namespaces and for kinds without one.
  func listNamespace(_ kind: Kind) -> String { kind.isNamespaced && !isAllNamespaces ? namespace : "" }

  /// Where an object of `kind` is.
  func objectNamespace(_ kind: Kind) -> String { kind.isNamespaced ? namespace : "" }

  /// When the time of `--timeout` is up, boot nanoseconds; nil without limit.
  func deadline(_ flag: String = "timeout") -> Int64? {
    arguments.milliseconds(flag).map { Clocks.boot() + $0 * 1_000_000 }
  }
}

/// A command that failed: its message goes to standard error as it is.
struct CommandError: Error, Equatable {
  let message: String
  var exitStatus: Int32 = 1

  init(_ message: String, exitStatus: Int32 = 1) {
    self.message = message
    self.exitStatus = exitStatus
  }
}

/// A coordinator and by whose identity it is talked to.
struct Endpoint: Equatable {
  static let nativePort: UInt16 = 7_420
  /// Of the Kubernetes API.
  static let apiPort: UInt16 = 7_480
  static let defaultServer = "127.0.0.1:\(nativePort)"
  static let defaultAPI = "127.0.0.1:\(apiPort)"

  /// What was asked for instead of the kubeconfig's own address.
  let server: String?
  let kubeconfig: KubeconfigSource
  /// The context asked for; nil: the current one.
  var context: String?

  init(server: String?, kubeconfig: String) {
    self.server = server
    self.kubeconfig = .file(kubeconfig)
  }

  /// From flags, then the environment, then what `stint up` uses.
  init(arguments: Arguments, environment: [String: String]) {
    server = Endpoint.server(arguments.value("server"), environment)
    kubeconfig = KubeconfigSource(flag: arguments.value("kubeconfig"), environment: environment)
    context = arguments.value("context")
  }

  /// What the kubeconfig says now.
  func read() throws(CommandError) -> KubeconfigContext { try kubeconfig.read(context: context) }

  /// What a flag or `STINT_SERVER` says.
  static func server(_ flag: String?, _ environment: [String: String]) -> String? {
    flag ?? environment["STINT_SERVER"].flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Where `stint up` keeps its cluster unless told otherwise.
  static func dataDirectory(_ environment: [String: String]) -> String {
    if let data = environment["XDG_DATA_HOME"], data.hasPrefix("/") { return "\(data)/stint" }
    if let home = environment["HOME"], home.hasPrefix("/") { return "\(home)/.local/share/stint" }
    return "/var/lib/stint"
  }
}
