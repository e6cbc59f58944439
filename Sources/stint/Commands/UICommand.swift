// Owns: `ui`: the kubeconfig as the page's way to the API server, and the browser that opens it. It must not know what
// the page asks for.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// `stint ui`.
enum UICommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    if let folder = context.arguments.value("to") { return try write(to: folder, context) }
    let access = try Endpoint(arguments: context.arguments, environment: context.environment).read()
    let loop = try EventLoop()
    let port = UInt16(context.arguments.integer("port") ?? 0)
    let proxy = try PageProxy(loop: loop, port: port, upstream: try upstream(access))
    context.console.line(proxy.address)
    context.console.note(
      "The address works once. The page asks \(access.server ?? "") as you; Ctrl-C ends it.")
    // It is reaped when this command ends; what it says is not heard.
    let browser = context.arguments.isOn("no-open") ? nil : open(proxy.address, context)
    var isDone = false
    let signals = try Signals(loop: loop, [SIGINT, SIGTERM, SIGHUP]) { _ in isDone = true }
    while !isDone { try loop.runOnce(timeoutMilliseconds: -1) }
    _ = (signals, browser)
    proxy.close()
    return 0
  }

  /// Where the kubeconfig says that the API is, and how one proves there who one is.
  static func upstream(_ access: KubeconfigContext) throws -> PageUpstream {
    guard let server = access.server, let place = Place(url: server) else {
      throw CommandError(
        "error: the kubeconfig \(access.file): the server of cluster \"\(access.clusterName)\" is no https address")
    }
    let addresses: [SocketAddress]
    do throws(NameLookup.Failure) {
      addresses = try NameLookup.addresses(of: .tcp(host: place.name, port: place.port))
    } catch {
      throw CommandError("error: \(error.message)")
    }
    let (tls, token) =
      switch try access.proof() {
      case .certificate(let identity): (try TLSContext(named: identity.own, authority: identity.authority), "")
      case .token(let token, let authority): (try TLSContext(named: nil, authority: authority), token)
      }
    return PageUpstream(
      addresses: addresses, name: place.name, host: place.host, prefix: place.path, tls: tls, token: token)
  }

  /// The parts of a server's URL.
  struct Place: Equatable {
    var name: String
    var port: UInt16
    /// Name and port as the URL has them.
    var host: String
    /// What stands before each path, without a slash at its end.
    var path: String

    init?(url: String) {
      let scheme = "https://"
      guard url.lowercased().hasPrefix(scheme) else { return nil }
      let rest = url.dropFirst(scheme.count)
      let host = rest.prefix { $0 != "/" }
      guard !host.isEmpty, !host.contains("@"),
        case .tcp(let name, let port) = SocketAddress(parsing: String(host), defaultPort: 443)
      else { return nil }
      var path = rest.dropFirst(host.count)
      while path.last == "/" { path.removeLast() }
      guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x3F && $0 != 0x23 }) else { return nil }
      (self.name, self.port, self.host, self.path) = (name, port, String(host), String(path))
    }
  }

  private static func open(_ address: String, _ context: Context) -> Child? {
    let hasScreen = ["DISPLAY", "WAYLAND_DISPLAY"].contains { !(context.environment[$0] ?? "").isEmpty }
    guard hasScreen else { return nil }
    let folders = (context.environment["PATH"] ?? "").split(separator: ":")
    guard let program = folders.map({ (folder) -> String in "\(folder)/xdg-open" }).first(where: Files.exists) else {
      return nil
    }
    let environment = context.environment.map { "\($0.key)=\($0.value)" }
    return try? Child(.init(path: program, arguments: ["xdg-open", address], environment: environment))
  }

  private static func write(to folder: String, _ context: Context) throws -> Int32 {
    let absolute = ServeCommand.absolute(folder)
    try Files.makeDirectory(absolute, mode: 0o755)
    for file in PageFiles.all { try Files.writeAtomically("\(absolute)/\(file.name)", file.bytes, mode: 0o644) }
    context.console.line("\(PageFiles.all.count) files written; kubectl proxy --www \(folder) --www-prefix /ui/")
    return 0
  }
}
