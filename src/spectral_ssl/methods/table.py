"""The methods by name. A table: code hashes do not follow it, so adding a line reruns nothing."""

METHODS = {
    "joint_embedding": "spectral_ssl.methods.joint_embedding:JointEmbedding",
    "simsiam": "spectral_ssl.methods.simsiam:SimSiam",
}
