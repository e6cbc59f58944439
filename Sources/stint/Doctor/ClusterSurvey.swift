// Owns: asking a cluster what a look at its health needs. It must not judge the answers (ClusterChecks).

import ClusterIO
import ClusterProto
import Coordinator

/// A cluster, as it was found.
struct ClusterSurvey {
  /// What was asked for, or why there is no answer.
  enum Found<Value> {
    case value(Value)
    case refused(String)

    var value: Value? { if case .value(let value) = self { value } else { nil } }
  }

  struct Hello: Equatable {
    var program: String
    var cluster: String
    var incarnation: Int64
  }

  var hello: Found<Hello> = .refused("")
  /// nil: the kubeconfig names no API.
  var ready: Found<ReadyAnswer>?
  /// When the answer came.
  var asked = WallTime(nanoseconds: 0)
  /// Of the kubeconfig, seconds since 1970.
  var ends: [(what: String, end: Int64)] = []
  var exposures: [String] = []
  var nodes: Found<[JSON]> = .refused("")
  /// Those that have not ended.
  var pods: Found<[JSON]> = .refused("")
  /// Theirs alone; nil: all namespaces.
  var namespace: String?
  var now = WallTime(nanoseconds: 0)

  private static let podLimit: Int64 = 5_000

  static func read(_ access: KubeconfigContext?, _ cluster: Cluster) -> ClusterSurvey {
    var survey = ClusterSurvey()
    if let access {
      if let identity = access.certificate, let end = Certificates.end(identity.certificate) {
        survey.ends.append(("your certificate", end))
      }
      if let authority = access.authority, let end = Certificates.end(authority) {
        survey.ends.append(("the cluster's authority", end))
      }
      survey.exposures = access.exposures
    }
    survey.hello = found {
      let hello = try cluster.greeting()
      return Hello(program: hello.program, cluster: hello.cluster, incarnation: hello.incarnation)
    }
    if let access, access.server != nil { survey.ready = found { try ReadyProbe.ask(try UICommand.upstream(access)) } }
    survey.asked = WallTime(nanoseconds: Clocks.now().wall)
    if survey.hello.value != nil {
      survey.nodes = found { try cluster.list(.nodes, "")["items"]?.arrayValue ?? [] }
      survey.pods = found { try pods("", cluster) }
      if survey.pods.value == nil, let namespace = access?.namespace {
        // Who may not see all pods may see some.
        let own: Found<[JSON]> = found { try pods(namespace, cluster) }
        if own.value != nil { (survey.pods, survey.namespace) = (own, namespace) }
      }
    }
    survey.now = WallTime(nanoseconds: Clocks.now().wall)
    return survey
  }

  private static func pods(_ namespace: String, _ cluster: Cluster) throws -> [JSON] {
    var request = APIRequest(verb: .list, kind: .pods, namespace: namespace)
    request.options.fieldSelector = "status.phase!=Succeeded,status.phase!=Failed"
    request.options.limit = podLimit
    return try cluster.send(request).object["items"]?.arrayValue ?? []
  }

  private static func found<Value>(_ ask: () throws -> Value) -> Found<Value> {
    do {
      return .value(try ask())
    } catch let error as CommandError {
      return .refused(words(error.message))
    } catch let error as StatusError {
      return .refused(error.message)
    } catch {
      return .refused("\(error)")
    }
  }

  /// The first line, without the word that begins errors.
  private static func words(_ message: String) -> String {
    let first = message.split(separator: "\n").first.map(String.init) ?? message
    return first.hasPrefix("error: ") ? String(first.dropFirst("error: ".count)) : first
  }
}
