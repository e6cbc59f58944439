// Owns: the key of the data directory that signs the tokens of service accounts, and what was signed by it. It must not
// know who may have a token, nor whether what one says still holds: it asks the core.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// Signs tokens and tells whose they are. Used on the loop's thread only.
final class TokenAuthority {
  private let key: TokenKey
  /// What tokens say whose signature was verified. Whether it holds is asked anew each time.
  private var verified: [String: JSON] = [:]
  var verifiedCount: Int { verified.count }
  /// The core's word on verified claims.
  var verdict: (JSON, [String]) -> TokenVerdict = { _, _ in .invalid(TokenAuthority.unknown) }

  /// Tokens that are known by heart.
  static let verifiedLimit = 1_024
  private static let unknown = "invalid bearer token"

  /// Reads `DIRECTORY/pki/tokens.pem` (0600), or makes it: a key that is damaged is never replaced by itself, since
  /// every token would end.
  init(directory: String) throws(IOError) {
    let path = "\(directory)/pki/tokens.pem"
    // A link that leads nowhere is a key that is lost.
    if (try? Files.status(path, followLinks: false)) == nil {
      // A first start makes it before the authority.
      if Files.exists("\(directory)/pki/authority.pem") {
        ServerLog.error(
          "a new key for tokens is made",
          (
            "reason",
            "\(path) is missing: every service account's token ends. Pods get others when their agents start "
              + "anew or at four fifths of the tokens' life; make those of programs elsewhere anew (stint create token)"
          ))
      }
      try Files.makeDirectory("\(directory)/pki", mode: 0o700)
      try Files.writeAtomically(path, SigningRequests.makeKey(), mode: 0o600)
    }
    do throws(IOError) {
      key = try TokenKey(pem: try PrivateFiles.read(path))
    } catch {
      if error.code == PrivateFiles.refusal { throw error }
      throw IOError(
        operation: "read", subject: path,
        message: "the key that signs tokens cannot be used (\(error.description)): put it back from a backup, or "
          + "delete it and start again: a new one is made, and every token ends")
    }
  }

  /// The token that says this.
  func sign(_ claims: JSON) throws(IOError) -> String {
    let unsigned = JSONWebToken.unsigned(claims: claims, key: key.name)
    return JSONWebToken.text(unsigned: unsigned, signature: try key.sign(Array(unsigned.utf8)))
  }

  /// Whose the token is, for any of these audiences.
  func verdict(on token: String, audiences: [String] = [TokenClaims.issuer]) -> TokenVerdict {
    if let claims = verified[token] { return explained(verdict(claims, audiences)) }
    guard let parsed = JSONWebToken(token), parsed.key.isEmpty || parsed.key == key.name,
      key.verifies(parsed.signature, of: parsed.signed)
    else { return .invalid(Self.unknown) }
    if verified.count >= Self.verifiedLimit { verified.removeAll(keepingCapacity: true) }
    verified[token] = parsed.claims
    return explained(verdict(parsed.claims, audiences))
  }

  private func explained(_ verdict: TokenVerdict) -> TokenVerdict {
    guard case .invalid(let why, let told) = verdict else { return verdict }
    return .invalid("[\(Self.unknown), \(why)]", told: told.map { "[\(Self.unknown), \($0)]" })
  }

  /// The message with its tokens signed: none leaves otherwise.
  func signed(_ message: CoordinatorMessage) -> CoordinatorMessage {
    switch message {
    case .answer(var answer) where answer.assignments.contains { !$0.tokens.isEmpty }:
      answer.assignments = answer.assignments.map(signed)
      return .answer(answer)
    case .assignments(let assignments): return .assignments(assignments.map(signed))
    case .tokens(let fresh):
      return .tokens(fresh.map { AttemptTokens(attempt: $0.attempt, tokens: $0.tokens.map(signed)) })
    default: return message
    }
  }

  private func signed(_ assignment: Assignment) -> Assignment {
    if assignment.tokens.isEmpty { return assignment }
    var assignment = assignment
    assignment.tokens = assignment.tokens.map(signed)
    return assignment
  }

  /// One that cannot be signed has no text: its pod waits, and the agent asks again.
  private func signed(_ token: PodToken) -> PodToken {
    guard case .claims(let claims) = token.content else { return token }
    var token = token
    do throws(IOError) {
      token.content = .signed(try sign(claims))
    } catch {
      ServerLog.error("no token was made", ("reason", error.description))
      token.content = .signed("")
    }
    return token
  }

  /// Signs what the core has decided, for a client.
  func answer(_ claims: JSON, _ answer: JSON, _ warnings: [String]) -> APIReply {
    do throws(IOError) {
      var answer = answer
      answer[path: ["status", "token"]] = .string(try sign(claims))
      return .done(code: 201, object: answer, warnings: warnings)
    } catch {
      ServerLog.error("no token was made", ("reason", error.description))
      let message = "the coordinator cannot sign a token (its log says why)"
      return .done(code: 500, object: ReplyStatus.failure(code: 500, message: message), warnings: [])
    }
  }
}
