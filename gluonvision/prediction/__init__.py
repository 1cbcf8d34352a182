"""Predict masks for single images, folders, videos and images of any size."""
