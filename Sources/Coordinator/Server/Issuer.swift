// Owns: signing what the core has decided to sign, with the authority of the data directory. It must not know who may
// have a certificate, nor how the answer goes out.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// The cluster's authority at work.
struct Issuer {
  let authorities: Authorities
  let cluster: String
  let tokens: TokenAuthority
  /// Where others reach the native door, and the URL of the API or "".
  let native: String
  let api: String

  /// Sends what the core's word comes to: the certificate, or why there is none.
  func answer(_ effect: CoordinatorEffect, by door: Door) {
    switch effect {
    case .issue(let target, let node, let request, let life):
      door.answer(certificate(node: node, request: request, milliseconds: life), to: target)
    case .issueRefused(let target, let reason, let retry):
      door.answer(.refused(reason: reason, retryMilliseconds: retry), to: target)
    case .issueUser(let request, let grant): door.reply(user(grant), to: request)
    case .signToken(let request, let claims, let answer, let warnings):
      door.reply(tokens.answer(claims, answer, warnings), to: request)
    default: break
    }
  }

  private func user(_ grant: UserGrant) -> APIReply {
    do throws(IOError) {
      let made = try SigningRequests.sign(
        request: Array(grant.request.utf8), name: grant.name, groups: grant.groups, authority: authorities.current,
        seconds: Int(clamping: grant.seconds))
      let object: JSON = [
        "kind": "UserCertificate", "name": .string(grant.name),
        "certificate": .string(String(decoding: made, as: UTF8.self)),
        "authority": .string(String(decoding: authorities.bundle, as: UTF8.self)),
        "native": .string(native), "api": .string(api),
      ]
      return .done(code: 200, object: object, warnings: [])
    } catch {
      ServerLog.error("no certificate was made", ("user", grant.name), ("reason", error.description))
      let why = "the coordinator cannot sign a certificate (its log says why)"
      return .done(code: 500, object: ReplyStatus.failure(code: 500, message: why), warnings: [])
    }
  }

  private func certificate(node: String, request: String, milliseconds: Int64) -> JoinAnswer {
    do throws(IOError) {
      let seconds = Int(clamping: milliseconds / 1_000)
      let made = try SigningRequests.sign(
        request: Array(request.utf8), node: node, authority: authorities.current, seconds: seconds)
      return .joined(
        certificate: String(decoding: made, as: UTF8.self),
        authority: String(decoding: authorities.bundle, as: UTF8.self), cluster: cluster)
    } catch {
      ServerLog.info("no certificate was made", ("node", node), ("reason", error.description))
      return .refused(
        reason: "the coordinator cannot sign a certificate (its log says why)", retryMilliseconds: 10_000)
    }
  }
}
