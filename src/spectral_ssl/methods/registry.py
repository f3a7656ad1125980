"""Method names and where they live; imports nothing, so that names can be listed for free."""

METHODS = {
    "joint_embedding": "spectral_ssl.methods.joint_embedding:JointEmbedding",
    "simsiam": "spectral_ssl.methods.simsiam:SimSiam",
}
